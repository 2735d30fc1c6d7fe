#include "common/statistics/rank_test.hpp"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>

namespace cambrian::statistics {
namespace {

using Catch::Approx;
using Values = std::vector<double>;

// Permeability of the human chorioamnion at term and between 12 and 26 weeks: Hollander and Wolfe
// (1973), p. 69. Published W = 35, one-sided p = 0.1272.
const Values kAtTerm = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
const Values kEarlier = {1.15, 0.88, 0.90, 0.74, 1.21};

// Ozone in New York in May and August 1973 (R's data set airquality). Published in the manual of
// wilcox.test: W = 127.5, p = 0.0001208, with ties and continuity correction.
const Values kMay = {41, 36, 12, 18, 28, 23, 19, 8, 7,  16, 11, 14,  18,
                     14, 34, 6,  30, 11, 1,  11, 4, 32, 23, 45, 115, 37};
const Values kAugust = {39, 9,  16, 78, 35, 66, 122, 89,  110, 44, 28,  65, 22,
                        59, 23, 31, 44, 21, 9,  45,  168, 73,  76, 118, 84, 85};

TEST_CASE("mann_whitney: agrees with published exact tests", "[unit][statistics]") {
  const RankTest permeability = mann_whitney(kAtTerm, kEarlier);
  CHECK(permeability.is_exact);
  CHECK(permeability.u == 35);
  CHECK(permeability.p == Approx(2 * 0.1272).margin(0.0001));
  CHECK(permeability.share == 0.7);
  // Age at diagnosis of diabetes of men and women: the example in the manual of SciPy's
  // mannwhitneyu gives U = 17, p = 0.1111.
  const RankTest diabetes = mann_whitney(Values{19, 22, 16, 29, 24}, Values{20, 11, 17, 12});
  CHECK(diabetes.u == 17);
  CHECK(diabetes.p == Approx(0.1111111111).epsilon(1e-9));
}

TEST_CASE("mann_whitney: agrees with a published test with ties", "[unit][statistics]") {
  const RankTest ozone = mann_whitney(kMay, kAugust);
  CHECK_FALSE(ozone.is_exact);
  CHECK(ozone.u == 127.5);
  CHECK(ozone.p == Approx(0.0001208).margin(0.00000005));
}

TEST_CASE("mann_whitney: the exact p is that of all orders", "[unit][statistics]") {
  // Each way to give 4 of 9 ranks to the first sample is as likely as any other.
  std::vector<double> us;
  std::vector<int> is_first = {0, 0, 0, 0, 0, 1, 1, 1, 1};
  do {
    double u = 0;
    for (std::size_t i = 0; i < 9; ++i) {
      for (std::size_t j = 0; j < i; ++j) u += is_first[i] == 1 && is_first[j] == 0 ? 1 : 0;
    }
    us.push_back(u);
  } while (std::ranges::next_permutation(is_first).found);
  REQUIRE(us.size() == 126);
  Rng rng(5);
  Values values = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (int i = 0; i < 50; ++i) {
    rng.shuffle(values);
    const RankTest test = mann_whitney(Values(values.begin(), values.begin() + 4),
                                       Values(values.begin() + 4, values.end()));
    const auto below = std::ranges::count_if(us, [&](double u) { return u <= test.u; });
    const auto above = std::ranges::count_if(us, [&](double u) { return u >= test.u; });
    const double tail = static_cast<double>(std::min(below, above)) / 126;
    CHECK(test.p == Approx(std::min(1.0, 2 * tail)).epsilon(1e-12));
  }
}

TEST_CASE("mann_whitney: is symmetric and blind to scale", "[unit][statistics]") {
  const RankTest one = mann_whitney(kMay, kAugust);
  const RankTest other = mann_whitney(kAugust, kMay);
  CHECK(one.p == other.p);
  CHECK(one.share + other.share == Approx(1));
  Values scaled = kAtTerm;
  for (double& value : scaled) value = std::exp(value);
  Values scaled_earlier = kEarlier;
  for (double& value : scaled_earlier) value = std::exp(value);
  CHECK(mann_whitney(scaled, scaled_earlier).p == mann_whitney(kAtTerm, kEarlier).p);
}

TEST_CASE("mann_whitney: equal samples show nothing", "[unit][statistics]") {
  const RankTest test = mann_whitney(Values{3, 3, 3}, Values{3, 3});
  CHECK(test.p == 1);
  CHECK(test.share == 0.5);
}

TEST_CASE("mann_whitney: errs as often as it says", "[unit][statistics]") {
  Rng rng(1);
  int rejected = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Values a(8);
    Values b(8);
    for (double& value : a) value = rng.normal();
    for (double& value : b) value = rng.normal();
    rejected += mann_whitney(a, b).p < 0.05 ? 1 : 0;
  }
  // The exact level of 8 against 8 is 0.0499 (U <= 13); four standard errors on either side.
  CHECK(rejected > kTrials * 0.0362);
  CHECK(rejected < kTrials * 0.0638);
}

TEST_CASE("smallest_p: is what full separation gives", "[unit][statistics]") {
  CHECK(smallest_p(3, 3) == Approx(0.1));
  CHECK(smallest_p(1, 1) == 1);
  CHECK(mann_whitney(Values{1, 2, 3, 4}, Values{5, 6, 7, 8, 9}).p == Approx(smallest_p(4, 5)));
}

TEST_CASE("probability_larger: counts pairs, ties half", "[unit][statistics]") {
  CHECK(probability_larger(Values{2, 3}, Values{1}) == 1);
  CHECK(probability_larger(Values{1, 2}, Values{2, 3}) == 0.125);
}

TEST_CASE("probability_interval: is symmetric and never a point", "[unit][statistics]") {
  const Interval one = probability_interval(1, 5, 5);
  // The lower end solves (1 - t) = z^2 t (1 + 4 (1 - t) / (2 - t) + 4 t / (1 + t)) / 25.
  const double t = one.low;
  CHECK(1 - t == Approx(3.8414588 * t * (1 + 4 * (1 - t) / (2 - t) + 4 * t / (1 + t)) / 25));
  CHECK(t > 0.6);
  CHECK(t < 0.7);
  CHECK(one.high == 1);
  const Interval other = probability_interval(0, 5, 5);
  CHECK(other.low == 0);
  CHECK(other.high == Approx(1 - one.low));
  const Interval middle = probability_interval(0.5, 40, 40);
  CHECK(middle.low + middle.high == Approx(1));
  CHECK(middle.high - middle.low < 0.26);
}

TEST_CASE("probability_interval: covers the truth as often as it says", "[unit][statistics]") {
  Rng rng(8);
  int covered = 0;
  constexpr int kTrials = 2000;
  const double truth = 0.5 * std::erfc(-1 / 2.0);  // Of normals one deviation apart: 0.7602.
  for (int trial = 0; trial < kTrials; ++trial) {
    Values a(10);
    Values b(12);
    for (double& value : a) value = rng.normal() + 1;
    for (double& value : b) value = rng.normal();
    const Interval interval = probability_interval(probability_larger(a, b), 10, 12);
    covered += interval.low <= truth && truth <= interval.high ? 1 : 0;
  }
  CHECK(covered > kTrials * 0.93);
  CHECK(covered < kTrials * 0.985);
}

TEST_CASE("effect_word: the thresholds of Vargha and Delaney", "[unit][statistics]") {
  CHECK(effect_word(0.5) == std::string("negligible"));
  CHECK(effect_word(0.57) == std::string("small"));
  CHECK(effect_word(0.35) == std::string("medium"));
  CHECK(effect_word(0.72) == std::string("large"));
  CHECK(effect_word(0) == std::string("large"));
}

TEST_CASE("holm: the example of four hypotheses", "[unit][statistics]") {
  // Unadjusted 0.01, 0.04, 0.03, 0.005: sorted and multiplied by 4, 3, 2, 1.
  const auto adjusted = holm(Values{0.01, 0.04, 0.03, 0.005});
  CHECK(adjusted[0] == Approx(0.03));
  CHECK(adjusted[1] == Approx(0.06));
  CHECK(adjusted[2] == Approx(0.06));
  CHECK(adjusted[3] == Approx(0.02));
  CHECK(holm(Values{0.7, 0.9}) == Values{1, 1});
}

}  // namespace
}  // namespace cambrian::statistics
