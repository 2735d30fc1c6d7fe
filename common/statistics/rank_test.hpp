#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/statistics/statistics.hpp"

namespace cambrian::statistics {

/// The comparison of two independent samples by ranks. All inputs must be finite, every sample have
/// at least one value.
struct RankTest {
  double u = 0;  ///< Mann-Whitney's U of the first sample: pairs in which it is larger, ties half.
  double p = 1;  ///< Two-sided.
  double share = 0;       ///< Vargha and Delaney's A: U over the number of pairs.
  bool is_exact = false;  ///< False: the normal approximation.
};

/// Up to so many values in either sample the test without ties is exact.
inline constexpr std::size_t kExactMax = 50;

/// Mann-Whitney U test (Wilcoxon rank sum test). Exact without ties and with at most `kExactMax`
/// values in each sample; else the normal approximation with continuity and tie correction. The
/// exact p is twice the smaller tail, at most 1. Complexity: O(n log n), the exact one
/// O(a^2 * b^2).
///
/// Source: Mann and Whitney, "On a test of whether one of two random variables is stochastically
/// larger than the other" (Annals of Mathematical Statistics 18, 1947); the corrections as in
/// Hollander and Wolfe, "Nonparametric Statistical Methods" (1973), section 4.1.
RankTest mann_whitney(std::span<const double> a, std::span<const double> b);

/// The smallest two-sided p that two samples of these sizes can give: a bound on what they can
/// show.
double smallest_p(std::size_t a, std::size_t b);

/// Probability that a value of `a` is larger than one of `b`, ties counting half: 0.5 where neither
/// is. The same number is Vargha and Delaney's effect size A ("A critique and improvement of the CL
/// common language effect size statistics", 2000) and, with runs as values, the probability of
/// improvement of Agarwal et al. (arXiv 2108.13264).
double probability_larger(std::span<const double> a, std::span<const double> b);

/// 95 % score interval of `probability_larger` for samples of these sizes. Does not shrink to a
/// point where the samples do not overlap, as the bootstrap does.
///
/// Source: method 5 of Newcombe, "Confidence intervals for an effect size measure based on the
/// Mann-Whitney statistic, part 2" (Statistics in Medicine 25, 2006).
Interval probability_interval(double probability, std::size_t a, std::size_t b);

/// Words for an A: below 0.56 from either side of one half negligible, 0.64 small, 0.71 medium,
/// else large (Vargha and Delaney 2000, table 1).
const char* effect_word(double share);

/// p values of several tests made at once, so that all of them together err with the probability
/// that one alone would (Holm, "A simple sequentially rejective multiple test procedure",
/// Scandinavian Journal of Statistics 6, 1979). In the order given.
std::vector<double> holm(std::span<const double> p_values);

}  // namespace cambrian::statistics
