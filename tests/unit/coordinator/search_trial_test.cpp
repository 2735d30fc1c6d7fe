#include <catch2/catch_test_macros.hpp>
#include <limits>

#include "coordinator/search/trial.hpp"

namespace cambrian::search {
namespace {

using Metrics = std::map<std::string, double>;

TEST_CASE("Trial: one success lets the other repeats follow", "[unit][search]") {
  Trial trial(3, "accuracy");
  CHECK(trial.queue_next() == 1);
  CHECK(trial.queue_next() == 0);
  CHECK(trial.issue() == 0);
  CHECK(trial.finish(0, Outcome::success, {{"accuracy", 0.5}, {"loss", 2}}));
  CHECK(trial.queue_next() == 2);
  CHECK(trial.issue() == 1);
  CHECK(trial.issue() == 2);
  CHECK(trial.finish(2, Outcome::success, {{"accuracy", 0.9}}));
  CHECK_FALSE(trial.is_complete());
  CHECK(trial.finish(1, Outcome::success, {{"accuracy", 0.7}, {"loss", 4}}));
  CHECK(trial.is_complete());
  CHECK(trial.is_full());
  const Verdict verdict = trial.verdict();
  CHECK(verdict.state == VariantState::evaluated);
  CHECK(verdict.score == (0.5 + 0.7 + 0.9) / 3);  // In the order of the repeats, bit for bit.
  CHECK_FALSE(verdict.metrics.contains("loss"));  // Not in every repeat: no mean.
}

TEST_CASE("Trial: a failure of the first evaluation plans no other", "[unit][search]") {
  Trial trial(3, "accuracy");
  trial.queue_next();
  trial.issue();
  CHECK(trial.unissued() == 2);
  CHECK_FALSE(trial.finish(0, Outcome::timeout, {}));
  CHECK(trial.queue_next() == 0);
  CHECK(trial.unissued() == 0);
  CHECK(trial.is_complete());
  CHECK_FALSE(trial.is_full());
  CHECK(trial.verdict().state == VariantState::failed);
  CHECK(trial.verdict().outcome == Outcome::timeout);
  CHECK_FALSE(trial.verdict().score);
}

TEST_CASE("Trial: of several failures the lowest repeat counts", "[unit][search]") {
  Trial trial(3, "accuracy");
  trial.queue_next();
  trial.issue();
  trial.finish(0, Outcome::success, {{"accuracy", 1}});
  trial.queue_next();
  trial.issue();
  trial.issue();
  trial.finish(2, Outcome::crash, {});
  CHECK_FALSE(trial.is_complete());
  trial.finish(1, Outcome::timeout, {});
  CHECK(trial.is_complete());
  CHECK(trial.verdict().outcome == Outcome::timeout);
}

TEST_CASE("Trial: closed early it has the mean of what it got", "[unit][search]") {
  Trial trial(3, "accuracy");
  trial.queue_next();
  trial.issue();
  trial.finish(0, Outcome::success, {{"accuracy", 0.25}});
  trial.queue_next();
  trial.issue();
  trial.close();
  trial.withdraw();
  CHECK(trial.is_complete());
  CHECK_FALSE(trial.is_full());
  CHECK(trial.verdict().score == 0.25);
}

TEST_CASE("checked_outcome: refuses metrics that are missing or not finite", "[unit][search]") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto check = [](const Metrics& metrics, Outcome outcome = Outcome::success) {
    return checked_outcome(outcome, metrics, "accuracy");
  };
  CHECK(check({{"accuracy", 0.5}}) == Outcome::success);
  CHECK(check({{"accuracy", kNan}}) == Outcome::not_finite);
  CHECK(check({{"accuracy", 0.5}, {"loss", kInfinity}}) == Outcome::not_finite);
  CHECK(check({{"loss", 1}}) == Outcome::bad_output);
  CHECK(check({{"accuracy", 0.5}}, Outcome::crash) == Outcome::crash);
}

TEST_CASE("Trial: in a race one repeat follows the other, and the rest can be given up",
          "[unit][search]") {
  Trial trial(4, "score", true);
  for (int repeat = 0; repeat < 2; ++repeat) {
    CHECK(trial.queue_next() == 1);
    CHECK(trial.queue_next() == 0);
    CHECK(trial.issue() == repeat);
    CHECK(trial.finish(repeat, Outcome::success, {{"score", 1.0 + repeat}, {"size", 3}}));
  }
  CHECK(trial.scores() == std::vector<double>{1, 2});
  CHECK_FALSE(trial.is_comparable());
  trial.give_up(0.5);
  CHECK(trial.is_complete());
  CHECK(trial.is_comparable());
  CHECK_FALSE(trial.is_full());
  CHECK(trial.queue_next() == 0);
  CHECK(trial.verdict().state == VariantState::evaluated);
  CHECK(trial.verdict().score == 0.5);
  CHECK(trial.verdict().metrics == std::map<std::string, double>{{"score", 0.5}, {"size", 3}});
}

}  // namespace
}  // namespace cambrian::search
