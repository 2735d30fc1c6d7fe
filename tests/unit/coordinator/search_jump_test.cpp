#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <set>

#include "coordinator/search/jump_gate.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

// Scores that jump are confirmed before they count.

namespace cambrian::search {
namespace {

Settings confirming(PolicyKind policy = PolicyKind::random) {
  Settings settings = settings_of(policy);
  settings.confirm_sigma = 3;
  settings.budget.evaluations = 20;
  return settings;
}

Settings in_parallel(int count) {
  Settings settings = confirming();
  settings.evaluations_parallel = count;
  settings.proposals_parallel = count;
  return settings;
}

/// What the last event settled.
SettleVariant settled(const Driver& driver) {
  REQUIRE(driver.last<SettleVariant>().size() == 1);
  return driver.last<SettleVariant>()[0];
}

/// The only evaluation that the last event requested, if it confirms.
RequestEvaluation requested(const Driver& driver) {
  REQUIRE(driver.last<RequestEvaluation>().size() == 1);
  return driver.last<RequestEvaluation>()[0];
}

TEST_CASE("JumpGate: sigma is the noise, else the usual gain", "[unit][search]") {
  Settings settings = confirming();
  JumpGate gate(settings);
  const Scored seed{VariantNumber{0}, 0};
  CHECK(gate.sigma() == 0);
  CHECK(gate.find_jump({VariantNumber{1}, 1e-9}, seed) == Jump{1e-9, 0, 0});
  CHECK_FALSE(gate.find_jump({VariantNumber{1}, 0}, seed));
  CHECK_FALSE(gate.find_jump({VariantNumber{1}, 9, 0.1}, seed));  // Breaks a constraint.

  gate.note_best({VariantNumber{1}, 8}, seed);
  CHECK(gate.sigma() == 8);
  gate.note_best({VariantNumber{2}, 10}, {VariantNumber{1}, 8});
  CHECK(gate.sigma() == 2);  // One large gain at the start does not hide what comes later.
  gate.note_best({VariantNumber{3}, 9}, {VariantNumber{2}, 10, 0.5});
  CHECK(gate.sigma() == 2);  // The best for its constraints: no gain.
  const Scored best{VariantNumber{2}, 10};
  CHECK_FALSE(gate.find_jump({VariantNumber{4}, 16}, best));
  CHECK(gate.find_jump({VariantNumber{4}, 16.5}, best) == Jump{16.5, 10, 2});
  for (std::size_t i = 0; i < RecentGains::kKept; ++i) {
    gate.note_best({VariantNumber{5}, 1}, {VariantNumber{4}, 0.75});
  }
  CHECK(gate.sigma() == 0.25);

  gate.note_noise(0.5);
  CHECK(gate.sigma() == 0.5);
  gate.note_noise(0);  // Scores do not vary: what is usual decides.
  CHECK(gate.sigma() == 0.25);
}

TEST_CASE("JumpGate: another evaluation must have half of the gain", "[unit][search]") {
  const JumpGate gate(confirming());
  const Scored best{VariantNumber{0}, 2};
  const Jump jump{4, 2, 0};
  CHECK(gate.is_confirmed(jump, best, {VariantNumber{1}, 3}));
  CHECK(gate.is_confirmed(jump, best, {VariantNumber{1}, 9}));
  CHECK_FALSE(gate.is_confirmed(jump, best, {VariantNumber{1}, 2.9}));
  CHECK_FALSE(gate.is_confirmed(jump, best, {VariantNumber{1}, 4, 0.1}));
}

TEST_CASE("Search: a jump counts when another evaluation confirms it", "[unit][search]") {
  Driver driver(confirming());
  driver.start_with_seed(0.5);
  driver.make_variant(0.6);
  CHECK(driver.last<SettleVariant>().empty());
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});
  const RequestEvaluation request = requested(driver);
  CHECK(request.variant == VariantNumber{1});
  CHECK(request.split == Split::validation);
  CHECK_FALSE(request.is_final);
  CHECK(request.jump == Jump{0.6, 0.5, 0});
  std::set<std::uint64_t> seeds;
  for (const auto& one : driver.every<RequestEvaluation>()) seeds.insert(one.seed);
  CHECK(seeds.size() == 3);

  driver.score(request.evaluation.value, 0.58);
  CHECK(settled(driver).confirmation == Confirmation::confirmed);
  CHECK(settled(driver).score == 0.6);  // Measured as all others are.
  CHECK(settled(driver).jump_score == 0.6);
  CHECK(settled(driver).second_score == 0.58);
  CHECK(driver.search.best() == Scored{VariantNumber{1}, 0.6});
  CHECK(driver.search.consumption().evaluations == 3);

  driver.make_variant(0.65);  // No more than is usual.
  CHECK(settled(driver).confirmation == Confirmation::none);
  CHECK(driver.search.best() == Scored{VariantNumber{2}, 0.65});
}

TEST_CASE("Search: a disputed jump is neither best nor parent, and has the worse score",
          "[unit][search]") {
  Settings settings = confirming(PolicyKind::hill_climb);
  settings.children = 1;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.make_variant(0.9);
  driver.score(driver.first_open_evaluation(), 0.52);
  CHECK(settled(driver).confirmation == Confirmation::disputed);
  CHECK(settled(driver).state == VariantState::evaluated);
  CHECK(settled(driver).score == 0.52);
  CHECK(settled(driver).metrics.at("accuracy") == 0.52);
  CHECK(settled(driver).jump_score == 0.9);
  CHECK(settled(driver).second_score == 0.52);
  CHECK(driver.last<SetBest>().empty());
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});
  // The generation is complete; its only child is no parent.
  REQUIRE(driver.last<RequestProposal>().size() == 1);
  CHECK(driver.last<RequestProposal>()[0].parents == std::vector<VariantNumber>{{0}});
  CHECK(driver.search.members().at(0).size() == 1);
}

TEST_CASE("Search: a jump that fails when it is evaluated again has failed", "[unit][search]") {
  Driver driver(confirming());
  driver.start_with_seed(0.5);
  driver.make_variant(0.9);
  driver.fail(driver.first_open_evaluation(), Outcome::crash);
  CHECK(settled(driver).confirmation == Confirmation::disputed);
  CHECK(settled(driver).state == VariantState::failed);
  CHECK(settled(driver).outcome == Outcome::crash);
  CHECK(settled(driver).jump_score == 0.9);
  CHECK_FALSE(settled(driver).second_score);
  CHECK(driver.search.consumption().evaluations_failed == 1);
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});
}

TEST_CASE("Search: repeats are made first, then a jump of their mean is confirmed",
          "[unit][search]") {
  Settings settings = confirming();
  settings.repeats = 2;
  settings.objectives[0].goal = Goal::minimize;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.make_variant(0.3);
  CHECK_FALSE(requested(driver).jump);
  driver.score(driver.first_open_evaluation(), 0.1);
  REQUIRE(requested(driver).jump);
  CHECK(requested(driver).jump->score == Catch::Approx(0.2));
  driver.score(driver.first_open_evaluation(), 0.34);
  CHECK(settled(driver).confirmation == Confirmation::confirmed);
  CHECK(driver.search.best()->score == Catch::Approx(0.2));
}

TEST_CASE("Search: with a measured noise only what is beyond it is confirmed", "[unit][search]") {
  Settings settings = confirming();
  settings.noise_repeats = 2;
  Driver driver(settings);
  driver.start();
  driver.score(1, 0.5);
  driver.score(driver.first_open_evaluation(), 0.4);
  driver.score(driver.first_open_evaluation(), 0.6);
  REQUIRE(driver.search.noise_deviation());
  CHECK(*driver.search.noise_deviation() == Catch::Approx(0.1414).margin(1e-3));
  driver.make_variant(0.9);
  CHECK(settled(driver).confirmation == Confirmation::none);
  driver.make_variant(1.5);
  CHECK(requested(driver).jump->sigma == *driver.search.noise_deviation());
}

TEST_CASE("Search: of several jumps the first in rank is confirmed, the others jump no more",
          "[unit][search]") {
  Driver driver(in_parallel(4));
  driver.start_with_seed(0.5);
  for (int i = 0; i < 4; ++i) {
    driver.answer(driver.first_open_proposal(), {"variant " + std::to_string(i)});
  }
  driver.score(2, 0.7);
  const auto confirming_first = requested(driver);
  CHECK(confirming_first.variant == VariantNumber{1});
  driver.score(3, 0.8);
  driver.score(4, 0.75);
  driver.score(5, 0.45);  // No jump: it settles while the others wait.
  CHECK(settled(driver).variant == VariantNumber{4});
  driver.score(confirming_first.evaluation.value, 0.5);  // Disputed.
  CHECK(settled(driver).confirmation == Confirmation::disputed);
  const auto second = driver.last<RequestEvaluation>();
  REQUIRE(second.size() == 1);
  CHECK(second[0].variant == VariantNumber{2});
  driver.score(second[0].evaluation.value, 0.8);
  const auto both = driver.last<SettleVariant>();
  REQUIRE(both.size() == 2);
  CHECK(both[0].confirmation == Confirmation::confirmed);
  CHECK(both[1].variant == VariantNumber{3});
  CHECK(both[1].confirmation == Confirmation::none);
  CHECK(both[1].score == 0.75);
  CHECK(driver.search.best() == Scored{VariantNumber{2}, 0.8});
}

TEST_CASE("Search: one evaluation of the budget is kept for a jump", "[unit][search]") {
  Settings settings = in_parallel(8);
  settings.budget.evaluations = 5;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  // Four are left: three variants, and one to confirm the best of them.
  REQUIRE(driver.search.open_proposals().size() == 3);
  for (int i = 0; i < 3; ++i) {
    driver.answer(driver.first_open_proposal(), {"variant " + std::to_string(i)});
  }
  driver.score(2, 0.6);
  CHECK(driver.last<RequestEvaluation>().empty());  // It waits for the others.
  driver.score(3, 0.9);
  CHECK(driver.last<RequestEvaluation>().empty());
  driver.score(4, 0.2);
  CHECK(requested(driver).variant == VariantNumber{2});
  driver.score(5, 0.9);
  CHECK(driver.search.best() == Scored{VariantNumber{2}, 0.9});
  CHECK(driver.search.end_reason() == EndReason::evaluations);
  CHECK(driver.search.consumption().evaluations == 5);
  for (const auto& one : driver.every<SettleVariant>()) {
    CHECK(one.confirmation != Confirmation::unconfirmed);
  }
}

TEST_CASE("Search: what was kept and not needed makes one more variant", "[unit][search]") {
  Settings settings = in_parallel(8);
  settings.budget.evaluations = 3;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  REQUIRE(driver.search.open_proposals().size() == 1);
  driver.answer(1, {"a"});
  driver.score(2, 0.4);
  REQUIRE(driver.search.open_proposals().size() == 1);
  driver.answer(2, {"b"});
  driver.score(3, 0.9);  // Nothing is left to confirm it.
  CHECK(settled(driver).confirmation == Confirmation::unconfirmed);
  CHECK(settled(driver).score == 0.9);
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});
  CHECK(driver.search.consumption().evaluations == 3);
  CHECK(driver.search.end_reason() == EndReason::evaluations);
}

TEST_CASE("Search: a stop leaves jumps unconfirmed, except one that is being evaluated",
          "[unit][search]") {
  const bool is_begun = GENERATE(true, false);
  Driver driver(in_parallel(4));
  driver.start_with_seed(0.5);
  driver.answer(driver.first_open_proposal(), {"a"});
  driver.answer(driver.first_open_proposal(), {"b"});
  driver.score(2, 0.7);
  const EvaluationNumber confirming_first = requested(driver).evaluation;
  driver.score(3, 0.9);
  StopRequested stop;
  if (is_begun) stop.begun.push_back(confirming_first);
  driver.send(stop);
  const auto stopped = driver.last<SettleVariant>();
  REQUIRE(stopped.size() == (is_begun ? 1U : 2U));
  for (const auto& one : stopped) CHECK(one.confirmation == Confirmation::unconfirmed);
  CHECK(driver.last<CancelEvaluations>().size() == (is_begun ? 0U : 1U));
  if (is_begun) driver.score(confirming_first.value, 0.7);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.best()->variant == VariantNumber{is_begun ? 1 : 0});
}

TEST_CASE("Search: a target is reached by a confirmed score", "[unit][search]") {
  Settings settings = confirming();
  settings.objectives[0].target = 0.8;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.make_variant(0.9);
  CHECK(driver.search.phase() == Phase::running);
  driver.score(driver.first_open_evaluation(), 0.9);
  CHECK(driver.search.end_reason() == EndReason::target);
}

}  // namespace
}  // namespace cambrian::search
