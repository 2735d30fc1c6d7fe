#include <catch2/catch_test_macros.hpp>

#include "coordinator/search/early_stop.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

using Scores = std::vector<double>;

EarlyStop rule_of(EarlyStopRule rule, int minimum, double keep = 0.34) {
  return {.rule = rule, .rungs = {0.5}, .minimum = minimum, .keep = keep};
}

}  // namespace

TEST_CASE("early stop: median ends who is worse than more than half of the others",
          "[unit][search]") {
  const EarlyStop rule = rule_of(EarlyStopRule::median, 2);
  const auto is_ended = [&](double own, const Scores& others) {
    return is_hopeless(rule, Goal::maximize, own, others);
  };
  CHECK(is_ended(0.1, {0.2, 0.3, 0.05}));
  CHECK_FALSE(is_ended(0.2, {0.1, 0.3, 0.25, 0.15}));  // Half of them is not more than half.
  CHECK_FALSE(is_ended(0.2, {0.2, 0.2, 0.2}));         // Of equals nobody is better.
  CHECK_FALSE(is_ended(0.9, {0.1, 0.2}));
  CHECK(is_hopeless(rule, Goal::minimize, 0.9, Scores{0.2, 0.3, 0.95}));
  CHECK_FALSE(is_hopeless(rule, Goal::minimize, 0.1, Scores{0.2, 0.3, 0.95}));
}

TEST_CASE("early stop: nobody is ended before enough others were there", "[unit][search]") {
  for (const auto kind : {EarlyStopRule::median, EarlyStopRule::halving}) {
    const EarlyStop rule = rule_of(kind, 3);
    CHECK_FALSE(is_hopeless(rule, Goal::maximize, 0.1, Scores{0.2, 0.3}));
    CHECK(is_hopeless(rule, Goal::maximize, 0.1, Scores{0.2, 0.3, 0.4}));
  }
}

TEST_CASE("early stop: halving lets its share go on, and the best one always", "[unit][search]") {
  const EarlyStop rule = rule_of(EarlyStopRule::halving, 2);
  Scores others = {0.1, 0.2, 0.3, 0.4, 0.5};
  // Of six the best two go on.
  CHECK_FALSE(is_hopeless(rule, Goal::maximize, 0.6, others));
  CHECK_FALSE(is_hopeless(rule, Goal::maximize, 0.45, others));
  CHECK(is_hopeless(rule, Goal::maximize, 0.35, others));
  CHECK_FALSE(is_hopeless(rule, Goal::minimize, 0.05, others));
  others = {0.1, 0.2};
  CHECK_FALSE(is_hopeless(rule_of(EarlyStopRule::halving, 2, 0.01), Goal::maximize, 0.3, others));
  CHECK(is_hopeless(rule_of(EarlyStopRule::halving, 2, 0.01), Goal::maximize, 0.15, others));
}

TEST_CASE("Search: an evaluation stopped early counts, and its variant is nothing to learn from",
          "[unit][search]") {
  Settings settings = settings_of();
  settings.budget.evaluations = 4;
  settings.policy = PolicyKind::hill_climb;  // Which shows failures.
  settings.repeats = 1;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(driver.first_open_proposal(), {"slow"});
  driver.send(EvaluationFinished{.evaluation = {driver.first_open_evaluation()},
                                 .outcome = Outcome::stopped_early,
                                 .metrics = {},
                                 .gpu_time_ms = 7});
  REQUIRE(driver.last<SettleVariant>().size() == 1);
  const SettleVariant settled = driver.last<SettleVariant>()[0];
  CHECK(settled.state == VariantState::failed);
  CHECK(settled.outcome == Outcome::stopped_early);
  CHECK_FALSE(settled.score);
  CHECK(driver.search.consumption().evaluations == 2);
  CHECK(driver.search.consumption().evaluations_failed == 0);
  CHECK(driver.search.consumption().gpu_time_ms == 7);
  CHECK(driver.search.best() == Scored{VariantNumber{0}, 0.5});
  // The next proposal shows it neither as a parent nor as a failure; one that broke is shown.
  REQUIRE(driver.last<RequestProposal>().size() == 1);
  CHECK(driver.last<RequestProposal>()[0].failures.empty());
  driver.answer(driver.first_open_proposal(), {"broken"});
  driver.fail(driver.first_open_evaluation());
  REQUIRE(driver.last<RequestProposal>().size() == 1);
  CHECK(driver.last<RequestProposal>()[0].failures == std::vector<VariantNumber>{{2}});
  CHECK(driver.search.consumption().evaluations_failed == 1);
}

TEST_CASE("Search: the other repeats of a variant that was stopped early are withdrawn",
          "[unit][search]") {
  Settings settings = settings_of();
  settings.budget.evaluations = 30;
  settings.repeats = 3;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.answer(driver.first_open_proposal(), {"slow"});
  const auto before = driver.search.consumption().evaluations;
  driver.fail(driver.first_open_evaluation(), Outcome::stopped_early);
  REQUIRE(driver.last<SettleVariant>().size() == 1);
  CHECK(driver.search.consumption().evaluations == before + 1);
  CHECK(driver.last<RequestEvaluation>().empty());
}

}  // namespace cambrian::search
