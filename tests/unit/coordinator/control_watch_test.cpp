#include "coordinator/app/control_watch.hpp"

#include <catch2/catch_test_macros.hpp>
#include <limits>

using namespace cambrian;
using namespace cambrian::coordinator;

namespace {

Control control_of(std::optional<double> own, std::vector<std::optional<double>> others,
                   std::optional<double> noise = {}) {
  Control control{.campaign = {1},
                  .campaign_name = "night",
                  .metric = "accuracy",
                  .evaluation = 1,
                  .own = {"worker-1", own},
                  .others = {},
                  .noise = noise};
  for (const auto& score : others) control.others.push_back({"other", score});
  return control;
}

bool is_off(const Control& control) {
  const auto comparison = compare(control);
  REQUIRE(comparison.is_known);
  CHECK(comparison.is_off != comparison.explanation.empty());
  return comparison.is_off;
}

}  // namespace

TEST_CASE("control_watch: with fewer than two other scores nobody is off", "[unit]") {
  CHECK_FALSE(compare(control_of(5, {})).is_known);
  CHECK_FALSE(compare(control_of(5, {1})).is_known);
  CHECK_FALSE(compare(control_of({}, {1})).is_known);
  // A seed that fails on half of the workers says nothing of this one.
  CHECK_FALSE(compare(control_of({}, {1, 1, std::nullopt, std::nullopt})).is_known);
}

TEST_CASE("control_watch: equal scores allow two percent", "[unit]") {
  CHECK_FALSE(is_off(control_of(0.712, {0.7, 0.7})));
  CHECK(is_off(control_of(0.716, {0.7, 0.7})));
  CHECK(is_off(control_of(0.684, {0.7, 0.7})));
  CHECK_FALSE(is_off(control_of(-0.712, {-0.7, -0.7})));
  CHECK(is_off(control_of(0.0001, {0, 0})));
}

TEST_CASE("control_watch: what others differ by is allowed six times", "[unit]") {
  // Their median is 1, their median deviation 0.01.
  const std::vector<std::optional<double>> others = {0.99, 1, 1.01};
  CHECK_FALSE(is_off(control_of(1.088, others)));
  CHECK(is_off(control_of(1.09, others)));
}

TEST_CASE("control_watch: one bad worker among the others does not hide another", "[unit]") {
  CHECK(is_off(control_of(5, {1, 1, 1, 9})));
  CHECK_FALSE(is_off(control_of(1, {1, 1, 1, 9})));
}

TEST_CASE("control_watch: a noisy task allows four times its noise", "[unit]") {
  CHECK_FALSE(is_off(control_of(0.79, {0.7, 0.7}, 0.025)));
  CHECK(is_off(control_of(0.81, {0.7, 0.7}, 0.025)));
}

TEST_CASE("control_watch: a failure is off where the seed succeeds, and so is no number", "[unit]") {
  CHECK(is_off(control_of({}, {0.7, 0.7})));
  CHECK(is_off(control_of({}, {0.7, 0.7, std::nullopt})));
  CHECK(is_off(control_of(std::numeric_limits<double>::quiet_NaN(), {0.7, 0.7})));
  CHECK_FALSE(is_off(control_of(0.7, {0.7, 0.7, std::nullopt})));
}

TEST_CASE("control_watch: the evidence says what was measured and expected", "[unit]") {
  CHECK(compare(control_of(0.91, {0.7, 0.72, 0.71})).explanation ==
        "the seed of night has accuracy 0.91 here, and 0.71 on 3 other workers (up to 0.089 apart "
        "is usual)");
  CHECK(compare(control_of({}, {0.7, 0.7})).explanation ==
        "the seed of night fails here, and has accuracy 0.7 on 2 other workers");
}
