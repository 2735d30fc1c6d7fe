#include "priority.hpp"

#include <algorithm>
#include <cmath>

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  const double largest_bins = bins.empty() ? 0.0 : *std::max_element(bins.begin(), bins.end());
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double index = static_cast<double>(i);
    const double left = bins[i] - item;
    // First fit: the earliest bin wins, however much room the item leaves in it.
    scores[i] = -index +
                ((std::max<double>(left, index) > 0.886 * item
                      ? index / item +
                            (left > 1.43 && (left > 4.6 ? std::sqrt(std::abs(left))
                                                        : static_cast<double>(bins.size())) < left
                                 ? 16.7
                                 : 0.461) +
                            (largest_bins - std::abs(2.65)) / (std::abs(left) + 1e-6)
                      : std::max<double>(largest_bins / (std::abs(left) + 1e-6), 12.8)) -
                 (static_cast<double>(bins.size()) - largest_bins > 8.04 &&
                          bins[std::max<std::size_t>(i, 1) - 1] < 145.0
                      ? 166.0
                      : 0.0)) -
                (left < 20.0 ? 10.2 : 0.0) + (left > largest_bins ? bins[i] : item) +
                (left < 7.39 ? 6.38 : 0.1) - 0.0348 * index;
  }
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        (largest_bins <= 42.5
             ? std::max<double>(std::min<double>(largest_bins, 152.0), std::sqrt(std::abs(13.5)))
             : (item > 4.48 && largest_bins < 47.9
                    ? (largest_bins > 62.3
                           ? 0.1
                           : std::max<double>(static_cast<double>(k), 0.1) + 10000.0)
                    : (scores[k] < 1.54
                           ? 4.45 - (largest_bins > 27.9
                                         ? std::min<double>(0.0585, static_cast<double>(k))
                                         : 0.1 * static_cast<double>(k) + 10000.0)
                           : -(6.02 -
                               (largest_bins > 27.9 && (largest_bins > 6.97 && largest_bins < 35.5)
                                    ? std::min<double>(std::sqrt(std::abs(0.1)),
                                                       static_cast<double>(k))
                                    : static_cast<double>(k) + 9.31e+03)))) -
                   (0.107 + largest_bins)) -
        (std::abs(item) + 1e-6) - 1.09e+03 / (std::abs(largest_bins) + 1e-6);
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        0.000793 *
        (largest_bins > 0.592
             ? item / (std::abs(std::min<double>(
                           0.943,
                           (scores[k] > 2.37 ? largest_bins
                                             : std::max<double>(scores[k], static_cast<double>(k)) *
                                                   std::abs(largest_bins)) /
                               (std::abs(std::sqrt(std::abs(
                                    scores[std::min<std::size_t>(k + 1, scores.size() - 1)]))) +
                                1e-6))) +
                       1e-6)
             : static_cast<double>(k));
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        0.107 * static_cast<double>(k) - (scores[k] < 31.7 ? 0.0 : 6.15) + 0.0323 * scores[k];
  for (std::size_t k = 0; k < scores.size(); ++k) scores[k] -= 0.00517 * static_cast<double>(k);
  for (std::size_t k = 0; k < scores.size(); ++k) scores[k] -= 1e-2 * static_cast<double>(k);
  return scores;
}
// EVOLVE-BLOCK-END
