#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// How much the score of one evaluation varies, as it was measured.
struct Noise {
  double deviation = 0;  ///< Standard deviation; 0 says nothing of other variants.
  int evaluations = 0;   ///< That it was measured with, at least 2.
};

/// Probability, over all looks, that a variant loses its race to an equal one. The best was chosen
/// by its scores on the same draws, which flatters it: an equal variant loses to it more often.
inline constexpr double kRaceError = 0.05;

/// Repeats before the first look of a race: with the noise known, and without.
inline constexpr std::size_t kFirstLookKnown = 1;
inline constexpr std::size_t kFirstLook = 3;

/// Where the first repeats of a variant show that it is worse than the best variant, which had all
/// of its `best.size()` repeats on the same draws: the score that they suggest, which is the mean
/// of the best less the mean difference on the draws that both had. None: not shown.
///
/// A one-sided test after each repeat but the last (a race: Maron and Moore, "Hoeffding races",
/// NIPS 1994): with `noise` above 0 the mean difference against that noise, else Student's paired
/// t-test, for which differences should be roughly normal. The looks share `kRaceError`. Values
/// must be finite.
std::optional<double> find_lost_score(Goal goal, std::span<const double> own,
                                      std::span<const double> best,
                                      const std::optional<Noise>& noise);

}  // namespace cambrian::search
