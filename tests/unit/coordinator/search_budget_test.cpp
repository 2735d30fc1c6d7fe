#include <catch2/catch_test_macros.hpp>
#include <limits>

#include "coordinator/search/ledger.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

Settings wide(std::int64_t evaluations) {
  Settings settings = settings_of();
  settings.evaluations_parallel = 100;
  settings.proposals_parallel = 100;
  settings.budget.evaluations = evaluations;
  return settings;
}

TEST_CASE("budget: proposals in flight reserve their evaluations", "[unit][search][budget]") {
  Driver driver(wide(4));
  driver.start_with_seed(0.5);
  CHECK(driver.last<RequestProposal>().size() == 3);
  driver.answer(1, {});  // Nothing came: the reserve is free again.
  CHECK(driver.last<RequestProposal>().size() == 1);
  driver.answer(2, {"a"});
  CHECK(driver.last<RequestProposal>().empty());
  driver.answer(3, {"a"});  // A duplicate does not count.
  CHECK(driver.last<RequestProposal>().size() == 1);
}

TEST_CASE("budget: the last proposal is asked for as many variants as are left",
          "[unit][search][budget]") {
  Settings settings = wide(8);
  settings.variants_per_proposal = 4;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  const auto requests = driver.last<RequestProposal>();
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].variants == 4);
  CHECK(requests[1].variants == 3);
}

TEST_CASE("budget: queued, running and expected evaluations stay within the parallel limit",
          "[unit][search][budget]") {
  Settings settings = wide(100);
  settings.evaluations_parallel = 5;
  settings.variants_per_proposal = 2;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  CHECK(driver.last<RequestProposal>().size() == 2);  // Four expected: a third has no room.
  driver.answer(1, {"a", "b"});
  CHECK(driver.last<RequestProposal>().empty());
  driver.score(2, 0.1);
  CHECK(driver.last<RequestProposal>().size() == 1);
}

TEST_CASE("budget: the last variant gets the repeats that are left and is not the best",
          "[unit][search][budget]") {
  Settings settings = settings_of();
  settings.repeats = 3;
  settings.budget.evaluations = 8;
  settings.final_repeats = 0;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"full"});
  for (int i = 0; i < 3; ++i) driver.score(driver.first_open_evaluation(), 0.6);
  CHECK(driver.search.best() == Scored{VariantNumber{1}, 0.6});
  driver.answer(2, {"short"});
  for (int i = 0; i < 2; ++i) driver.score(driver.first_open_evaluation(), 0.9);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.consumption().evaluations == 8);
  const auto settled = driver.last<SettleVariant>();
  REQUIRE(settled.size() == 1);
  CHECK(settled[0].variant == VariantNumber{2});
  CHECK(settled[0].state == VariantState::evaluated);
  CHECK(settled[0].score == 0.9);
  CHECK(driver.search.best() == Scored{VariantNumber{1}, 0.6});
}

TEST_CASE("budget: repeats that a failed variant does not need go to others",
          "[unit][search][budget]") {
  Settings settings = settings_of();
  settings.repeats = 3;
  settings.budget.evaluations = 7;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"broken"});
  driver.fail(4);
  CHECK(driver.last<SettleVariant>()[0].state == VariantState::failed);
  CHECK(driver.last<RequestProposal>().size() == 1);
  driver.answer(2, {"full"});
  for (int i = 0; i < 3; ++i) driver.score(driver.first_open_evaluation(), 0.6);
  CHECK(driver.search.consumption().evaluations == 7);
  CHECK(driver.search.best() == Scored{VariantNumber{2}, 0.6});
}

TEST_CASE("budget: a seed with fewer repeats than asked for still starts and ends the campaign",
          "[unit][search][budget]") {
  Settings settings = settings_of();
  settings.repeats = 3;
  settings.budget.evaluations = 2;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});
  CHECK(driver.search.phase() == Phase::finalizing);
  CHECK(driver.search.consumption().evaluations == 2);
}

TEST_CASE("budget: tokens are reserved for proposals in flight", "[unit][search][budget]") {
  Settings settings = wide(0);
  settings.budget.tokens = 1000;
  settings.tokens_reserved = 300;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  CHECK(driver.last<RequestProposal>().size() == 3);
  driver.answer(1, {"a"}, 50);  // Cheaper than reserved: 50 + 2 * 300 + 300 fits.
  CHECK(driver.last<RequestProposal>().size() == 1);
  for (int i = 2; i <= 4; ++i) driver.answer(i, {"b" + std::to_string(i)}, 300);
  // 950 are used: the next reserve does not fit, the four variants still get evaluated.
  CHECK(driver.search.end_reason() == EndReason::tokens);
  CHECK(driver.search.explanation() == "budget reached: tokens=950 limit=1000 needed=300");
  CHECK(driver.search.phase() == Phase::draining);
  CHECK(driver.search.open_evaluations().size() == 4);
  for (int i = 0; i < 4; ++i) driver.score(driver.first_open_evaluation(), 0.6);
  CHECK(driver.search.consumption().evaluations == 5);
  CHECK(driver.search.phase() == Phase::finalizing);
}

TEST_CASE("budget: variants paid for get their repeats when money ends the search",
          "[unit][search][budget]") {
  Settings settings = settings_of();
  settings.repeats = 2;
  settings.budget = {.cost_micro_usd = 100};
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"a"}, 0, 100);
  CHECK(driver.search.end_reason() == EndReason::cost);
  driver.score(driver.first_open_evaluation(), 0.6);
  CHECK(driver.search.phase() == Phase::draining);
  driver.score(driver.first_open_evaluation(), 0.8);
  CHECK(driver.search.phase() == Phase::finalizing);
  CHECK(driver.search.best() == Scored{VariantNumber{1}, 0.7});
}

TEST_CASE("budget: the time of GPUs and of the wall end the search", "[unit][search][budget]") {
  Settings settings = settings_of();
  settings.budget = {.gpu_time_ms = 100};
  Driver gpu(settings);
  gpu.start();
  gpu.send(EvaluationFinished{EvaluationNumber{1}, Outcome::success, {{"accuracy", 0.5}}, 100});
  CHECK(gpu.search.end_reason() == EndReason::gpu_time);
  CHECK(gpu.search.phase() == Phase::finalizing);

  settings.budget = {.wall_time_ms = 1000};
  Driver wall(settings);
  wall.start_with_seed(0.5);
  wall.send(TimePassed{999});
  CHECK(wall.search.phase() == Phase::running);
  wall.send(TimePassed{1000});
  CHECK(wall.search.end_reason() == EndReason::wall_time);
  CHECK(wall.last<CancelProposals>().size() == 1);
  wall.send(TimePassed{5});
  CHECK(wall.search.consumption().wall_time_ms == 1000);
}

TEST_CASE("budget: time that is over drops the repeats that were not requested",
          "[unit][search][budget]") {
  Settings settings = settings_of();
  settings.repeats = 3;
  settings.budget = {.wall_time_ms = 1000};
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"a"});
  driver.score(driver.first_open_evaluation(), 0.9);
  driver.send(TimePassed{1000});
  CHECK(driver.search.phase() == Phase::draining);
  driver.score(driver.first_open_evaluation(), 0.9);
  CHECK(driver.search.phase() == Phase::finalizing);
  CHECK(driver.search.consumption().evaluations == 5);
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});  // Cut short: not comparable.
}

TEST_CASE("Ledger: absurd costs exhaust a budget and never wrap", "[unit][search][budget]") {
  Settings settings = settings_of();
  settings.budget = {.tokens = 10};
  Ledger ledger(settings);
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  ledger.add_proposal_cost(kHuge, -5);
  ledger.add_proposal_cost(kHuge, 7);
  ledger.add_gpu_time(kHuge);
  ledger.add_gpu_time(1);
  CHECK(ledger.used.tokens == kHuge);
  CHECK(ledger.used.cost_micro_usd == 7);
  CHECK(ledger.used.gpu_time_ms == kHuge);
  CHECK(ledger.find_reached()->reason == EndReason::tokens);
  CHECK_FALSE(ledger.can_reserve_proposal());
}

TEST_CASE("Ledger: the budget nearest to its end says how much is used", "[unit][search][budget]") {
  Settings settings = settings_of();
  settings.budget = {.evaluations = 10, .tokens = 100, .wall_time_ms = 1000};
  Ledger ledger(settings);
  CHECK(ledger.share_used() == 0);
  ledger.used.evaluations = 2;
  ledger.add_proposal_cost(10, 1'000'000);  // Money has no limit here.
  CHECK(ledger.share_used() == 0.2);
  ledger.set_wall_time(300);
  CHECK(ledger.share_used() == 0.3);
  ledger.set_wall_time(5000);
  CHECK(ledger.share_used() == 1);
}

}  // namespace
}  // namespace cambrian::search
