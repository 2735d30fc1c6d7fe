#pragma once

#include <optional>
#include <span>

#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// How much the score of one evaluation varies, as it was measured.
struct Noise {
  double deviation = 0;  ///< Standard deviation, above 0.
  int evaluations = 0;   ///< That it was measured with, at least 2.
};

/// Probability that a variant which is as good as the best loses its race to it, over all looks.
inline constexpr double kRaceError = 0.05;

/// Whether the first repeats of a variant show that it is worse than the best variant, which had
/// all of its `best.size()` repeats on the same draws: then the score that it is worth, which is
/// the mean of the best less the mean difference on the draws that both had. None: not shown.
///
/// A one-sided test after each repeat but the last (a race: Maron and Moore, "Hoeffding races",
/// NIPS 1994): with `noise` the mean difference against that noise, from the first repeat on;
/// without, Student's paired t-test, from the second on. The looks share `kRaceError`. Values must
/// be finite.
std::optional<double> lost_race(Goal goal, std::span<const double> own,
                                std::span<const double> best, const std::optional<Noise>& noise);

}  // namespace cambrian::search
