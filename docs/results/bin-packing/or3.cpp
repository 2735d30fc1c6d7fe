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
                ((std::max<double>(left, index) > 0.592 * item
                      ? index / item +
                            (left > 1.43 && (left > 4.16 ? std::sqrt(std::abs(left))
                                                         : std::sqrt(std::abs(left)) + 0.747) < left
                                 ? 16.7
                                 : 0.461) +
                            (largest_bins - std::abs(2.93)) / (std::abs(left) + 1e-6)
                      : std::max<double>(largest_bins / (std::abs(left) + 1e-6), 12.8)) -
                 (static_cast<double>(bins.size()) - largest_bins > 8.04 &&
                          bins[std::max<std::size_t>(i, 1) - 1] < 145.0
                      ? 166.0
                      : 0.0)) -
                (left < 20.0 ? 10.9 : 0.0) + (left > largest_bins ? bins[i] : item);
  }
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        (largest_bins <= 42.5
             ? std::max<double>(std::min<double>(largest_bins, 10.0), std::sqrt(std::abs(13.5)))
             : (item > 4.48 && largest_bins < 47.9
                    ? (largest_bins > 62.3
                           ? std::min<double>(0.1, static_cast<double>(k))
                           : std::max<double>(static_cast<double>(k), 0.1) + 10000.0)
                    : (scores[k] < 1.54
                           ? 4.45 - (largest_bins > 27.9
                                         ? std::min<double>(0.0585, static_cast<double>(k))
                                         : 0.1 * static_cast<double>(k) + 10000.0)
                           : -(6.02 -
                               (largest_bins > 27.9 && (largest_bins > 6.97 && largest_bins < 35.5)
                                    ? std::min<double>(std::sqrt(std::abs(0.1)),
                                                       static_cast<double>(k))
                                    : 0.074 * static_cast<double>(k) + 10000.0)))) -
                   (0.107 + largest_bins)) -
        9.21 / (std::abs(item) + 1e-6);
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        0.000793 *
        (largest_bins > 0.273
             ? static_cast<double>(k)
             : item / (std::abs(std::min<double>(0.5, static_cast<double>(bins.size()))) + 1e-6));
  return scores;
}
// EVOLVE-BLOCK-END
