#include "coordinator/app/control_watch.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <limits>
#include <string>

#include "common/base/rng.hpp"

using namespace cambrian;
using namespace cambrian::coordinator;

namespace {

using Scores = std::vector<std::optional<double>>;

/// Each of the others has one score, and is a worker of its own.
Control control_of(std::optional<double> own, const Scores& others,
                   std::optional<double> noise = {}) {
  Control control{.campaign = {1},
                  .campaign_name = "night",
                  .metric = "accuracy",
                  .evaluation = 1,
                  .own = {"worker-0", own},
                  .others = {},
                  .noise = noise};
  for (const auto& score : others) {
    control.others.push_back({"worker-" + std::to_string(control.others.size() + 1), score});
  }
  return control;
}

bool is_off(const Control& control) {
  const auto comparison = compare(control);
  REQUIRE(comparison.is_known);
  CHECK(comparison.is_off != comparison.explanation.empty());
  return comparison.is_off;
}

/// Their median is 1, their median deviation 0.01.
const Scores kSpread = {0.98, 0.98, 0.99, 0.99, 0.99, 0.99, 1,    1,
                        1,    1,    1.01, 1.01, 1.01, 1.01, 1.02, 1.02};

}  // namespace

TEST_CASE("control_watch: with fewer than two other workers nobody is off", "[unit]") {
  CHECK_FALSE(compare(control_of(5, {})).is_known);
  CHECK_FALSE(compare(control_of(5, {1})).is_known);
  CHECK_FALSE(compare(control_of({}, {1})).is_known);
  auto one_worker = control_of(5, {1, 1, 1});
  for (auto& other : one_worker.others) other.worker = "worker-1";
  CHECK_FALSE(compare(one_worker).is_known);
  // A seed that fails on half of the workers says nothing of this one.
  CHECK_FALSE(compare(control_of({}, {1, 1, std::nullopt, std::nullopt})).is_known);
}

TEST_CASE("control_watch: a spread is taken from sixteen scores, not fewer", "[unit]") {
  Scores others(15, 1);
  others.front() = 1.01;
  CHECK_FALSE(compare(control_of(5, others)).is_known);
  others.push_back(1);
  CHECK(compare(control_of(5, others)).is_known);
  CHECK(compare(control_of(5, {1, 1})).is_known);
}

TEST_CASE("control_watch: equal scores allow two percent", "[unit]") {
  CHECK_FALSE(is_off(control_of(0.712, {0.7, 0.7})));
  CHECK(is_off(control_of(0.716, {0.7, 0.7})));
  CHECK(is_off(control_of(0.684, {0.7, 0.7})));
  CHECK_FALSE(is_off(control_of(-0.712, {-0.7, -0.7})));
}

TEST_CASE("control_watch: what others differ by is allowed six times", "[unit]") {
  CHECK_FALSE(is_off(control_of(1.088, kSpread)));
  CHECK(is_off(control_of(1.09, kSpread)));
}

TEST_CASE("control_watch: bad workers among the others do not hide another", "[unit]") {
  Scores mixed(16, 1);
  std::fill_n(mixed.begin(), 5, 9);
  CHECK(is_off(control_of(5, mixed)));
  CHECK_FALSE(is_off(control_of(1, mixed)));
}

TEST_CASE("control_watch: a noisy task allows four times its noise", "[unit]") {
  CHECK_FALSE(is_off(control_of(0.79, {0.7, 0.7}, 0.025)));
  CHECK(is_off(control_of(0.81, {0.7, 0.7}, 0.025)));
}

TEST_CASE("control_watch: a failure is off where the seed succeeds, and so is no number",
          "[unit]") {
  CHECK(is_off(control_of({}, {0.7, 0.7})));
  CHECK(is_off(control_of({}, {0.7, 0.7, std::nullopt})));
  CHECK(is_off(control_of(std::numeric_limits<double>::quiet_NaN(), {0.7, 0.7})));
  CHECK_FALSE(is_off(control_of(0.7, {0.7, 0.7, std::nullopt})));
}

TEST_CASE("control_watch: honest workers of a noisy task are hardly ever off twice", "[unit]") {
  const std::uint64_t seed = 20;
  INFO("seed " << seed);
  const Rng root(seed);
  int off_twice = 0;
  constexpr int kTrials = 20'000;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    Rng rng = root.split(trial);
    Scores others;
    for (int i = 0; i < 16; ++i) others.push_back(0.8 + 0.03 * rng.normal());
    const bool is_first_off = is_off(control_of(0.8 + 0.03 * rng.normal(), others));
    const bool is_second_off = is_off(control_of(0.8 + 0.03 * rng.normal(), others));
    off_twice += is_first_off && is_second_off ? 1 : 0;
  }
  CHECK(off_twice <= kTrials / 2'000);
}

TEST_CASE("control_watch: the evidence says what was measured and expected", "[unit]") {
  CHECK(compare(control_of(1.2, kSpread)).explanation ==
        "the seed of night has accuracy 1.2 here, and 1 on 16 other workers (up to 0.089 apart is "
        "usual)");
  CHECK(compare(control_of({}, {0.7, 0.7})).explanation ==
        "the seed of night fails here, and has accuracy 0.7 on 2 other workers");
}
