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
    scores[i] =
        -index +
        ((left > 0.592 * item
              ? index / (std::abs(left) + 1e-6) +
                    (left > 1.43 && (left > 4.16 ? std::sqrt(std::abs(left))
                                                 : std::sqrt(std::abs(left)) + 0.747) < left
                         ? 23.8
                         : 0.461) +
                    (largest_bins - std::abs(2.93)) / (std::abs(left) + 1e-6)
              : std::max<double>(largest_bins / (std::abs(left) + 1e-6), 10.0)) -
         (static_cast<double>(bins.size()) - largest_bins > 8.04 &&
                  bins[std::max<std::size_t>(i, 1) - 1] < 145.0
              ? 166.0
              : 0.0)) -
        (left < 20.0 ? 10.9 : 0.0) +
        0.747 * std::sqrt(std::abs(std::max<double>(left, bins[std::max<std::size_t>(i, 1) - 1])));
  }
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        largest_bins < 31.5
            ? (item > 4.48 && largest_bins < 47.9
                   ? (largest_bins > 27.9 ? std::min<double>(0.1, static_cast<double>(k))
                                          : std::max<double>(static_cast<double>(k), 0.1) + 10000.0)
                   : (scores[k] < 1.54
                          ? 6.02 - (largest_bins > 27.9
                                        ? std::min<double>(0.1, static_cast<double>(k))
                                        : 0.1 * static_cast<double>(k) + 10000.0)
                          : -(6.02 - (largest_bins > 27.9
                                          ? std::min<double>(std::sqrt(std::abs(0.1)),
                                                             static_cast<double>(k))
                                          : 0.1 * static_cast<double>(k) + 10000.0)))) -
                  (0.107 + largest_bins)
            : std::max<double>(std::min<double>(largest_bins, 10.0), std::sqrt(std::abs(13.5)));
  return scores;
}
// EVOLVE-BLOCK-END
