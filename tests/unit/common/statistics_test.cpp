#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <limits>
#include <vector>

#include "common/statistics/statistics.hpp"

namespace cambrian::statistics {
namespace {

using Catch::Approx;

// Student's sleep data ("The probable error of a mean", Biometrika 6, 1908): additional hours of
// sleep of ten patients under two drugs. Published: mean difference 1.58, t = 4.0621.
const std::vector<double> kFirstDrug = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
const std::vector<double> kSecondDrug = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};

TEST_CASE("mean: of worked examples", "[unit][statistics]") {
  CHECK(mean(std::vector<double>{4}) == 4);
  CHECK(mean(std::vector<double>{2, 4, 4, 4, 5, 5, 7, 9}) == 5);
  CHECK(mean(kFirstDrug) == Approx(0.75));
}

TEST_CASE("mean: is finite where the sum overflows", "[unit][statistics]") {
  constexpr double kHuge = std::numeric_limits<double>::max();
  CHECK(mean(std::vector<double>{kHuge, kHuge, kHuge}) == kHuge);
  CHECK(mean(std::vector<double>{-kHuge, -kHuge}) == -kHuge);
}

TEST_CASE("standard_error: of worked examples", "[unit][statistics]") {
  CHECK_FALSE(standard_error(std::vector<double>{1}));
  CHECK(standard_error(std::vector<double>{3, 3, 3}) == 0.0);
  // Squared deviations sum to 32: sqrt(32 / 7 / 8).
  CHECK(*standard_error(std::vector<double>{2, 4, 4, 4, 5, 5, 7, 9}) == Approx(0.7559289460));
}

TEST_CASE("quantile: interpolates as R does by default", "[unit][statistics]") {
  const std::vector<double> values = {1, 2, 3, 4};
  CHECK(quantile(values, 0) == 1);
  CHECK(quantile(values, 0.25) == Approx(1.75));
  CHECK(quantile(values, 0.5) == Approx(2.5));
  CHECK(quantile(values, 1) == 4);
  CHECK(quantile(std::vector<double>{7}, 0.9) == 7);
}

TEST_CASE("bootstrap_interval: of two values has the three possible means", "[unit][statistics]") {
  // Means of resamples: 0, 0.5, 1 with probability 1/4, 1/2, 1/4.
  const std::vector<double> values = {0, 1};
  CHECK(bootstrap_interval(values, Rng(1)) == Interval{0, 1});
  CHECK(bootstrap_interval(values, Rng(1), {.confidence = 0.4}) == Interval{0.5, 0.5});
  CHECK_FALSE(bootstrap_interval(std::vector<double>{0.3}, Rng(1)));
}

TEST_CASE("bootstrap_interval: repeats for a seed and covers about as often as it says",
          "[unit][statistics]") {
  constexpr int kTrials = 200;
  Rng rng(5);
  int covered = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> values(30);
    for (double& value : values) value = 10 + 3 * rng.normal();
    const auto interval = bootstrap_interval(values, Rng(9), {.resamples = 300});
    REQUIRE(interval);
    CHECK(interval == bootstrap_interval(values, Rng(9), {.resamples = 300}));
    if (interval->low <= 10 && 10 <= interval->high) ++covered;
  }
  CHECK(covered >= 176);  // 88 %: the percentile interval is a little narrow at this size.
  CHECK(covered <= 198);
}

TEST_CASE("student_quantile: agrees with the printed table", "[unit][statistics]") {
  // Fisher and Yates, "Statistical tables", table III.
  CHECK(student_quantile(0.975, 1) == Approx(12.706).epsilon(1e-4));
  CHECK(student_quantile(0.975, 10) == Approx(2.228).epsilon(1e-3));
  CHECK(student_quantile(0.95, 5) == Approx(2.015).epsilon(1e-3));
  CHECK(student_quantile(0.995, 2) == Approx(9.925).epsilon(1e-4));
  CHECK(student_quantile(0.5, 3) == Approx(0).margin(1e-12));
  CHECK(student_quantile(0.05, 5) == Approx(-student_quantile(0.95, 5)));
}

TEST_CASE("paired_difference: reproduces Student's sleep data", "[unit][statistics]") {
  const PairedDifference difference = paired_difference(kFirstDrug, kSecondDrug, Rng(3));
  CHECK(difference.mean == Approx(1.58));
  REQUIRE(difference.standard_error);
  CHECK(difference.mean / *difference.standard_error == Approx(4.0621).epsilon(1e-4));
  REQUIRE(difference.interval);
  CHECK(difference.interval->low > 0.8);
  CHECK(difference.interval->low < 1.1);
  CHECK(difference.interval->high > 2.1);
  CHECK(difference.interval->high < 2.5);
}

TEST_CASE("paired_difference: of one pair has no spread", "[unit][statistics]") {
  const PairedDifference difference =
      paired_difference(std::vector<double>{1}, std::vector<double>{3}, Rng(3));
  CHECK(difference.mean == 2);
  CHECK_FALSE(difference.standard_error);
  CHECK_FALSE(difference.interval);
}

}  // namespace
}  // namespace cambrian::statistics
