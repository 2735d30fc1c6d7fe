#include "coordinator/search/search.hpp"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <set>
#include <tuple>

#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

TEST_CASE("Search: asks for the seed first and for proposals when it is evaluated",
          "[unit][search]") {
  Driver driver(settings_of());
  driver.start();
  REQUIRE(driver.last<AddVariant>().size() == 1);
  CHECK(driver.last<AddVariant>()[0].variant == VariantNumber{0});
  CHECK_FALSE(driver.last<AddVariant>()[0].proposal);
  REQUIRE(driver.last<RequestEvaluation>().size() == 1);
  CHECK(driver.last<RequestEvaluation>()[0].evaluation == EvaluationNumber{1});
  CHECK(driver.last<RequestProposal>().empty());

  driver.score(1, 0.5);
  REQUIRE(driver.last<SettleVariant>().size() == 1);
  CHECK(driver.last<SettleVariant>()[0].score == 0.5);
  CHECK(driver.last<SetBest>() == std::vector<SetBest>{{VariantNumber{0}, 0.5}});
  REQUIRE(driver.last<RequestProposal>().size() == 1);
  CHECK(driver.last<RequestProposal>()[0].proposal == ProposalNumber{1});
  CHECK(driver.last<RequestProposal>()[0].parents == std::vector<VariantNumber>{{0}});
  CHECK(driver.search.phase() == Phase::running);
}

TEST_CASE("Search: ends when the seed fails", "[unit][search]") {
  Driver driver(settings_of());
  driver.start();
  driver.fail(1, Outcome::compile_error);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.end_reason() == EndReason::failure);
  CHECK(driver.search.explanation() == "the seed does not evaluate: outcome=compile_error");
  CHECK(driver.every<RequestEvaluation>().size() == 1);
}

TEST_CASE("Search: makes exactly the evaluations of the budget, then the finals",
          "[unit][search]") {
  Driver driver(settings_of());
  driver.start_with_seed(0.5);
  for (const double score : {0.6, 0.4, 0.7}) driver.make_variant(score);
  driver.answer(4, {"broken"});
  driver.fail(5);
  CHECK(driver.search.consumption().evaluations == 5);
  CHECK(driver.search.consumption().evaluations_failed == 1);
  CHECK(driver.search.phase() == Phase::finalizing);
  CHECK(driver.search.end_reason() == EndReason::evaluations);
  CHECK(driver.search.best() == Scored{VariantNumber{3}, 0.7});
  driver.finish_evaluations(0.1);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.consumption().evaluations == 5);
  CHECK(driver.search.consumption().final_evaluations == 4);
  CHECK(driver.search.best() == Scored{VariantNumber{3}, 0.7});
}

TEST_CASE("Search: stops at the target", "[unit][search]") {
  Settings settings = settings_of();
  settings.objectives[0].target = 0.9;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.make_variant(0.9);
  CHECK(driver.search.end_reason() == EndReason::target);
  CHECK(driver.search.phase() == Phase::finalizing);
}

TEST_CASE("Search: a target that is minimised is reached from above", "[unit][search]") {
  Settings settings = settings_of();
  settings.objectives[0] = {"accuracy", Goal::minimize, 0.1};
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.make_variant(0.2);
  CHECK(driver.search.phase() == Phase::running);
  CHECK(driver.search.best() == Scored{VariantNumber{1}, 0.2});
  driver.make_variant(0.05);
  CHECK(driver.search.end_reason() == EndReason::target);
}

TEST_CASE("Search: a draining search lets open evaluations finish and counts them",
          "[unit][search]") {
  Settings settings = settings_of();
  settings.objectives[0].target = 0.9;
  settings.evaluations_parallel = 4;
  settings.proposals_parallel = 2;
  settings.budget.evaluations = 100;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"a"});
  driver.answer(2, {"b"});
  REQUIRE(driver.search.open_proposals().size() == 2);
  driver.score(2, 0.95);
  CHECK(driver.search.phase() == Phase::draining);
  CHECK(driver.last<CancelProposals>() ==
        std::vector<CancelProposals>{{{ProposalNumber{3}, ProposalNumber{4}}}});
  CHECK(driver.last<CancelEvaluations>().empty());
  driver.score(3, 0.99);
  CHECK(driver.search.best() == Scored{VariantNumber{2}, 0.99});
  CHECK(driver.search.phase() == Phase::finalizing);
  CHECK(driver.search.end_reason() == EndReason::target);
}

TEST_CASE("Search: an answer to a cancelled proposal is paid for but not used", "[unit][search]") {
  Settings settings = settings_of();
  settings.objectives[0].target = 0.9;
  settings.evaluations_parallel = 4;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"a"});
  driver.score(2, 0.95);
  REQUIRE(driver.search.open_proposals().empty());
  driver.answer(2, {"late"}, 70, 5);
  CHECK(driver.latest.empty());
  CHECK(driver.search.consumption().tokens == 70);
  CHECK(driver.search.consumption().proposals == 2);
  driver.answer(2, {"late"}, 70, 5);  // Only once.
  CHECK(driver.search.consumption().tokens == 70);
}

TEST_CASE("Search: a final has fresh seeds, the same for seed and best on both splits",
          "[unit][search]") {
  Settings settings = settings_of();
  settings.final_repeats = 2;
  settings.evaluations_parallel = 16;
  settings.budget.evaluations = 2;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.make_variant(0.9);
  const auto finals = driver.last<RequestEvaluation>();
  REQUIRE(finals.size() == 8);
  std::set<std::uint64_t> seeds;
  std::set<std::tuple<std::int64_t, Split, std::uint64_t>> kinds;
  for (const RequestEvaluation& final : finals) {
    CHECK(final.is_final);
    seeds.insert(final.seed);
    kinds.insert({final.variant.value, final.split, final.seed});
  }
  CHECK(seeds.size() == 2);
  CHECK(kinds.size() == 8);
  for (const RequestEvaluation& request : driver.every<RequestEvaluation>()) {
    if (!request.is_final) CHECK_FALSE(seeds.contains(request.seed));
  }
}

TEST_CASE("Search: every variant meets the same draws, repeat by repeat, whatever the seed",
          "[unit][search]") {
  // (variant, seed) of every search evaluation, in the order in which they were asked for.
  const auto seeds_with = [](std::uint64_t seed, std::optional<std::uint64_t> evaluation_seed) {
    Settings settings = settings_of();
    settings.seed = seed;
    settings.evaluation_seed = evaluation_seed;
    settings.repeats = 2;
    settings.budget.evaluations = 6;
    Driver driver(settings);
    driver.start_with_seed(0.5);
    driver.answer(driver.first_open_proposal(), {"a"});
    driver.finish_evaluations(0.6);
    driver.answer(driver.first_open_proposal(), {"b"});
    driver.finish_evaluations(0.7);
    std::map<std::int64_t, std::vector<std::uint64_t>> seeds;
    for (const auto& request : driver.every<RequestEvaluation>()) {
      if (!request.is_final) seeds[request.variant.value].push_back(request.seed);
    }
    REQUIRE(seeds.size() == 3);
    return seeds;
  };
  const auto same = seeds_with(7, 1);
  CHECK(same.at(0).size() == 2);
  CHECK(same.at(0)[0] != same.at(0)[1]);
  CHECK(same.at(1) == same.at(0));
  CHECK(same.at(2) == same.at(0));
  CHECK(seeds_with(8, 1) == same);
  CHECK(seeds_with(7, 2).at(0) != same.at(0));
  // Campaigns of older versions.
  const auto own = seeds_with(7, std::nullopt);
  CHECK(own.at(1) != own.at(0));
  CHECK(seeds_with(8, std::nullopt) != own);
}

TEST_CASE("Search: a seed that stays the best is evaluated once more, not twice",
          "[unit][search]") {
  Settings settings = settings_of();
  settings.evaluations_parallel = 16;
  settings.budget.evaluations = 2;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.make_variant(0.5);  // As good as the seed is not better.
  CHECK(driver.last<RequestEvaluation>().size() == 2);
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});
}

TEST_CASE("Search: finals change neither the best nor the count", "[unit][search]") {
  Driver driver(settings_of());
  driver.start_with_seed(0.5);
  for (int i = 0; i < 4; ++i) driver.make_variant(0.6);
  REQUIRE(driver.search.phase() == Phase::finalizing);
  driver.fail(driver.first_open_evaluation());
  driver.finish_evaluations(100);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.best() == Scored{VariantNumber{1}, 0.6});
  CHECK(driver.search.consumption().evaluations == 5);
  CHECK(driver.search.consumption().evaluations_failed == 0);
}

TEST_CASE("Search: without final repeats it ends at once", "[unit][search]") {
  Settings settings = settings_of();
  settings.final_repeats = 0;
  settings.budget.evaluations = 1;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.end_reason() == EndReason::evaluations);
}

TEST_CASE("Search: paused it counts results but requests nothing; resumed it goes on",
          "[unit][search]") {
  Driver driver(settings_of());
  Driver unpaused(settings_of());
  driver.start_with_seed(0.5);
  unpaused.start_with_seed(0.5);
  driver.send(PauseRequested{});
  CHECK(driver.last<SetPhase>() == std::vector<SetPhase>{{Phase::paused, EndReason::none, ""}});
  driver.answer(1, {"a"});
  CHECK(driver.last<AddVariant>().size() == 1);
  CHECK(driver.last<RequestEvaluation>().empty());
  CHECK(driver.search.phase() == Phase::paused);

  driver.send(ResumeRequested{});
  unpaused.answer(1, {"a"});
  CHECK(driver.last<SetPhase>() == std::vector<SetPhase>{{Phase::running, EndReason::none, ""}});
  CHECK(driver.last<RequestEvaluation>() == unpaused.last<RequestEvaluation>());
  CHECK(driver.score(2, 0.7) == unpaused.score(2, 0.7));
}

TEST_CASE("Search: paused it does not end before it is resumed", "[unit][search]") {
  Settings settings = settings_of();
  settings.budget.evaluations = 2;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"a"});
  driver.send(PauseRequested{});
  driver.score(2, 0.9);
  CHECK(driver.search.phase() == Phase::paused);
  CHECK(driver.search.best() == Scored{VariantNumber{1}, 0.9});
  driver.send(ResumeRequested{});
  CHECK(driver.search.phase() == Phase::finalizing);
  driver.send(PauseRequested{});
  CHECK(driver.search.phase() == Phase::paused);
  driver.send(PauseRequested{});
  CHECK(driver.latest.empty());
  driver.send(ResumeRequested{});
  CHECK(driver.search.phase() == Phase::finalizing);
  driver.send(ResumeRequested{});
  CHECK(driver.latest.empty());
}

TEST_CASE("Search: a stop waits for what is begun, withdraws the rest and skips the finals",
          "[unit][search]") {
  Settings settings = settings_of();
  settings.evaluations_parallel = 3;
  settings.proposals_parallel = 3;
  settings.budget.evaluations = 100;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"a"});
  driver.answer(2, {"b"});
  REQUIRE(driver.search.open_evaluations().size() == 2);
  driver.send(StopRequested{{EvaluationNumber{2}}});
  CHECK(driver.search.phase() == Phase::draining);
  CHECK(driver.last<CancelProposals>().size() == 1);
  CHECK(driver.last<CancelEvaluations>() ==
        std::vector<CancelEvaluations>{{{EvaluationNumber{3}}}});
  driver.score(2, 0.9);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.end_reason() == EndReason::user);
  CHECK(driver.search.best() == Scored{VariantNumber{1}, 0.9});
  CHECK(driver.search.consumption().final_evaluations == 0);
  CHECK(driver.search.consumption().evaluations == 2);
  CHECK(driver.send(PauseRequested{}).empty());
  CHECK(driver.send(StopRequested{}).empty());
}

TEST_CASE("Search: a stop ends a paused or finalizing campaign at once", "[unit][search]") {
  Settings settings = settings_of();
  settings.budget.evaluations = 1;
  Driver finalizing(settings);
  finalizing.start_with_seed(0.5);
  REQUIRE(finalizing.search.phase() == Phase::finalizing);
  finalizing.send(StopRequested{});
  CHECK(finalizing.search.phase() == Phase::ended);
  CHECK(finalizing.search.end_reason() == EndReason::user);

  Driver paused(settings_of());
  paused.start();
  paused.send(PauseRequested{});
  paused.send(StopRequested{});
  CHECK(paused.search.phase() == Phase::ended);
  CHECK(paused.search.open_evaluations().empty());
}

TEST_CASE("Search: a program that was seen before is not evaluated again", "[unit][search]") {
  Driver driver(settings_of());
  driver.start_with_seed(0.5);
  driver.answer(1, {"seed"});
  CHECK(driver.last<RequestEvaluation>().empty());
  REQUIRE(driver.last<AddVariant>().size() == 1);
  CHECK(driver.last<AddVariant>()[0].duplicate_of == VariantNumber{0});
  REQUIRE(driver.last<SettleVariant>().size() == 1);
  CHECK(driver.last<SettleVariant>()[0].state == VariantState::duplicate);
  REQUIRE(driver.last<RequestProposal>().size() == 1);  // Another try.
  driver.answer(2, {"a"});
  driver.fail(2);
  driver.answer(3, {"a"});  // Failed ones are known too.
  CHECK(driver.last<AddVariant>()[0].duplicate_of == VariantNumber{2});
  CHECK(driver.search.consumption().duplicates == 2);
  CHECK(driver.search.consumption().evaluations == 2);
}

TEST_CASE("Search: takes no more variants than it asked for", "[unit][search]") {
  Settings settings = settings_of();
  settings.evaluations_parallel = 4;
  settings.variants_per_proposal = 2;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  CHECK(driver.last<RequestProposal>()[0].variants == 2);
  driver.answer(1, {"a", "b", "c"});
  REQUIRE(driver.last<AddVariant>().size() == 2);
  CHECK(driver.last<AddVariant>()[1].index == 1);
  CHECK(driver.last<RequestEvaluation>().size() == 2);
}

TEST_CASE("Search: gives up after too many failed proposals in a row", "[unit][search]") {
  Driver driver(settings_of());
  driver.start_with_seed(0.5);
  for (int i = 1; i < kFailedProposalsMax; ++i) driver.answer(i, {});
  driver.answer(kFailedProposalsMax, {"seed"});  // A duplicate shows that the model answers.
  for (int i = 1; i < kFailedProposalsMax; ++i) driver.answer(kFailedProposalsMax + i, {});
  CHECK(driver.search.phase() == Phase::running);
  driver.answer(2 * kFailedProposalsMax, {});
  CHECK(driver.search.end_reason() == EndReason::failure);
  CHECK(driver.search.explanation() ==
        "no variant came from any of the last proposals: proposals=50");
  CHECK(driver.search.phase() == Phase::finalizing);
}

TEST_CASE("Search: an outage of the endpoint ends no search", "[unit][search]") {
  Driver driver(settings_of());
  driver.start_with_seed(0.5);
  std::int64_t number = 0;
  const auto fail_by_outage = [&](int count) {
    for (int i = 0; i < count; ++i) {
      driver.send(ProposalFinished{.proposal = ProposalNumber{++number},
                                   .variants = {},
                                   .tokens = 5,
                                   .is_infrastructure = true});
      REQUIRE(driver.last<RequestProposal>().size() == 1);  // The next try.
    }
  };
  for (int i = 1; i < kFailedProposalsMax; ++i) driver.answer(++number, {});
  fail_by_outage(kFruitlessProposalsMax + 1);
  CHECK(driver.search.phase() == Phase::running);
  CHECK(driver.search.consumption().proposals_failed == number);
  CHECK(driver.search.consumption().tokens == 5 * (kFruitlessProposalsMax + 1));
  // It does not forget what the models failed to do before.
  driver.answer(++number, {});
  CHECK(driver.search.end_reason() == EndReason::failure);
}

TEST_CASE("Search: gives up after too many proposals without a new program", "[unit][search]") {
  Driver driver(settings_of());
  driver.start_with_seed(0.5);
  for (int i = 1; i < kFruitlessProposalsMax; ++i) driver.answer(i, {"seed"});
  CHECK(driver.search.phase() == Phase::running);
  driver.answer(kFruitlessProposalsMax, {"seed"});
  CHECK(driver.search.end_reason() == EndReason::failure);
  CHECK(driver.search.consumption().duplicates == kFruitlessProposalsMax);
}

TEST_CASE("Search: an empty account ends the search", "[unit][search]") {
  Driver driver(settings_of());
  driver.start_with_seed(0.5);
  driver.send(ProposalFinished{ProposalNumber{1}, {}, 0, 0, true});
  CHECK(driver.search.end_reason() == EndReason::failure);
  CHECK(driver.search.explanation() == "the model provider's account is exhausted: top it up");
}

TEST_CASE("Search: shows failed siblings first, then others of the island", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::hill_climb);
  settings.children = 2;
  settings.failures = 2;
  settings.budget.evaluations = 20;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(1, {"a"});
  driver.fail(2);
  CHECK(driver.last<RequestProposal>()[0].failures == std::vector<VariantNumber>{{1}});
  driver.answer(2, {"b"});
  driver.score(3, 0.6);  // The next incumbent: it has no failed children yet.
  CHECK(driver.last<RequestProposal>()[0].failures == std::vector<VariantNumber>{{1}});
  driver.answer(3, {"c"});
  driver.fail(4);
  CHECK(driver.last<RequestProposal>()[0].parents == std::vector<VariantNumber>{{2}});
  CHECK(driver.last<RequestProposal>()[0].failures == std::vector<VariantNumber>{{3}, {1}});
}

TEST_CASE("Search: a crossover without a second parent is a diff", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::hill_climb);
  settings.children = 1;
  settings.operators = {{Operator::crossover, 1}};
  Driver driver(settings);
  driver.start_with_seed(0.5);
  CHECK(driver.last<RequestProposal>()[0].operation == Operator::diff);
  driver.answer(1, {"a"});
  driver.score(2, 0.6);
  CHECK(driver.last<RequestProposal>()[0].operation == Operator::crossover);
  CHECK(driver.last<RequestProposal>()[0].parents == std::vector<VariantNumber>{{1}, {0}});
  driver.answer(2, {"b"});
  CHECK(driver.last<AddVariant>()[0].generation == 2);
}

TEST_CASE("Search: operators and models follow their weights", "[unit][search]") {
  Settings settings = settings_of();
  settings.operators = {{Operator::diff, 3}, {Operator::rewrite, 1}};
  settings.models = {{"small", 1, 0.5}, {"large", 1, std::nullopt}};
  settings.budget.evaluations = 2000;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  for (int i = 1; i < 2000; ++i) driver.make_variant(0.1);
  int rewrites = 0;
  int small = 0;
  for (const RequestProposal& request : driver.every<RequestProposal>()) {
    if (request.operation == Operator::rewrite) ++rewrites;
    if (request.model == "small") ++small;
    CHECK(request.temperature.has_value() == (request.model == "small"));
  }
  CHECK(rewrites > 420);
  CHECK(rewrites < 580);
  CHECK(small > 900);
  CHECK(small < 1100);
}

TEST_CASE("Search: what proposal n draws does not depend on the order of arrival",
          "[unit][search]") {
  Settings settings = settings_of();
  settings.operators = {{Operator::diff, 1}, {Operator::rewrite, 1}};
  settings.models = {{"small", 1, {}}, {"large", 1, {}}};
  settings.evaluations_parallel = 8;
  settings.proposals_parallel = 3;
  settings.budget.evaluations = 50;
  const auto run = [&](bool is_reversed) {
    Driver driver(settings);
    driver.start_with_seed(0.5);
    int digests = 0;
    while (driver.search.phase() == Phase::running) {
      const auto proposals = driver.search.open_proposals();
      const auto evaluations = driver.search.open_evaluations();
      if (!proposals.empty()) {
        const ProposalNumber next = is_reversed ? proposals.back() : proposals.front();
        driver.answer(next.value, {"digest " + std::to_string(++digests)});
      } else {
        driver.score((is_reversed ? evaluations.back() : evaluations.front()).value, 0.1);
      }
    }
    return driver.every<RequestProposal>();
  };
  // The seed is the only parent here: nothing at all may differ.
  CHECK(run(false) == run(true));
}

TEST_CASE("Search: is repeatable and its seed matters", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  const auto run = [](const Settings& given) {
    Driver driver(given);
    driver.start_with_seed(0.5);
    for (const double score : {0.6, 0.4, 0.8, 0.3}) driver.make_variant(score);
    return driver.all;
  };
  CHECK(run(settings) == run(settings));
  Settings other = settings;
  other.seed = 8;
  CHECK_FALSE(run(settings) == run(other));
}

TEST_CASE("Search: measures the noise by the seed, within the budget", "[unit][search]") {
  Settings settings = settings_of();
  settings.evaluation_seed = 5;
  settings.noise_repeats = 3;
  settings.budget.evaluations = 6;
  Driver driver(settings);
  driver.start();
  driver.score(1, 0.5);
  CHECK(driver.last<RequestProposal>().empty());  // One evaluation at a time: the noise first.
  driver.score(2, 0.4);
  driver.score(3, 0.6);
  CHECK(driver.every<SetNoise>().empty());
  driver.score(4, 0.5);
  REQUIRE(driver.every<SetNoise>().size() == 1);
  CHECK(driver.every<SetNoise>()[0].evaluations == 3);
  CHECK(driver.every<SetNoise>()[0].deviation == Catch::Approx(0.1));
  CHECK(driver.search.noise_deviation() == driver.every<SetNoise>()[0].deviation);
  // No score is made of them.
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});
  CHECK(driver.search.seed_score() == 0.5);
  std::set<std::uint64_t> seeds;
  for (const auto& request : driver.every<RequestEvaluation>()) {
    CHECK(request.variant == VariantNumber{0});
    seeds.insert(request.seed);
  }
  CHECK(seeds.size() == 4);
  driver.make_variant(0.7);
  driver.make_variant(0.8);
  CHECK(driver.search.consumption().evaluations == 6);
  CHECK(driver.search.end_reason() == EndReason::evaluations);
}

TEST_CASE("Search: noise comes of what succeeded, and not of one", "[unit][search]") {
  Settings settings = settings_of();
  settings.noise_repeats = 3;
  settings.budget.evaluations = 10;
  for (const int failures : {1, 2}) {
    Driver driver(settings);
    driver.start();
    driver.score(1, 0.5);
    for (int i = 0; i < failures; ++i) driver.fail(2 + i, Outcome::crash);
    for (int i = failures; i < 3; ++i) driver.score(2 + i, 0.5);
    CHECK(driver.every<SetNoise>().size() == (failures == 1 ? 1 : 0));
    CHECK(driver.search.consumption().evaluations_failed == failures);
    CHECK(driver.search.phase() == Phase::running);
    CHECK_FALSE(driver.search.open_proposals().empty());
  }
}

}  // namespace
}  // namespace cambrian::search
