#include "common/statistics/runs.hpp"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

namespace cambrian::statistics {
namespace {

using Catch::Approx;
using Values = std::vector<double>;

// Survival of seven treated mice in days: Efron and Tibshirani, "An Introduction to the Bootstrap"
// (1993), table 2.1; their median is 94.
const Values kMice = {94, 197, 16, 38, 99, 141, 23};

TEST_CASE("median_interval: is that of the exact bootstrap distribution", "[unit][statistics]") {
  CHECK(median(kMice) == 94);
  CHECK(median(Values{1, 2, 3, 10}) == 2.5);
  // The median of a resample is at most the k-th value when four of seven draws are: probability
  // 0.0102, 0.1083, 0.3469, ... (binomial). So 2.5 % lie in the second value, and by symmetry
  // 97.5 % in the sixth; 20 % in the third.
  const auto interval = median_interval(kMice, Rng(3));
  REQUIRE(interval);
  CHECK(interval->low == 23);
  CHECK(interval->high == 141);
  const auto narrow = median_interval(kMice, Rng(3), {.confidence = 0.6});
  CHECK(narrow->low == 38);
  CHECK(narrow->high == 99);
  CHECK_FALSE(median_interval(Values{4}, Rng(1)));
}

TEST_CASE("success_rate: agrees with published Wilson intervals", "[unit][statistics]") {
  // Newcombe, "Two-sided confidence intervals for the single proportion" (Statistics in Medicine
  // 17, 1998), table I, method 3.
  const auto check = [](std::size_t successes, std::size_t attempts, double low, double high) {
    const Rate rate = success_rate(successes, attempts);
    CHECK(rate.interval.low == Approx(low).margin(0.00005));
    CHECK(rate.interval.high == Approx(high).margin(0.00005));
  };
  check(81, 263, 0.2553, 0.3662);
  check(15, 148, 0.0624, 0.1605);
  check(0, 20, 0, 0.1611);
  check(1, 29, 0.0061, 0.1718);
  CHECK(success_rate(5, 5).interval.high == 1);
  CHECK(success_rate(5, 5).ratio == 1);
}

TEST_CASE("median_curve: is the median of each place, with the runs' spread",
          "[unit][statistics]") {
  const std::vector<Values> runs = {{1, 2, 3}, {1, 4, 6}, {1, 3, 9}};
  const auto curve = median_curve(runs, curve_places(3), Rng(1));
  REQUIRE(curve.size() == 3);
  CHECK(curve[0].median == 1);
  CHECK(curve[0].interval == Interval{1, 1});
  CHECK(curve[1].median == 3);
  CHECK(curve[2].median == 6);
  // All three draws alike at least twice: probability 7/27 for either end.
  CHECK(curve[2].interval == Interval{3, 9});
  const std::vector<Values> single = {{5, 6}};
  CHECK(median_curve(single, curve_places(2), Rng(1))[1].interval == Interval{6, 6});
}

TEST_CASE("curve_places: begins, ends, rises and is bounded", "[unit][statistics]") {
  for (const std::size_t length : {1U, 2U, 60U, 61U, 400U, 1'000'000U}) {
    const auto places = curve_places(length);
    CHECK(places.front() == 1);
    CHECK(places.back() == length);
    CHECK(places.size() <= 60);
    for (std::size_t i = 1; i < places.size(); ++i) CHECK(places[i] > places[i - 1]);
  }
}

TEST_CASE("evaluations_to: is the first place as good as the target", "[unit][statistics]") {
  const Values rising = {1, 2, 2, 5};
  CHECK(evaluations_to(rising, 2, true) == 2);
  CHECK(evaluations_to(rising, 5.1, true) == std::nullopt);
  CHECK(evaluations_to(Values{9, 4, 3}, 4, false) == 2);
  CHECK(area_under(rising) == 2.5);
}

TEST_CASE("expected_evaluations: charges failed runs in full", "[unit][statistics]") {
  const std::vector<Values> runs = {{1, 5, 5, 5}, {1, 1, 1, 1}, {5, 5, 5, 5}};
  // 2 + 4 + 1 evaluations for two successes.
  CHECK(expected_evaluations(runs, 5, true) == 3.5);
  CHECK(expected_evaluations(runs, 6, true) == std::nullopt);
}

}  // namespace
}  // namespace cambrian::statistics
