#include "priority.hpp"

#include <algorithm>
#include <cmath>

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  const double largest_bins = bins.empty() ? 0.0 : *std::max_element(bins.begin(), bins.end());
  const double smallest_bins = bins.empty() ? 0.0 : *std::min_element(bins.begin(), bins.end());
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double index = static_cast<double>(i);
    const double left = bins[i] - item;
    // First fit: the earliest bin wins, however much room the item leaves in it.
    scores[i] =
        (-0.0 + (smallest_bins - static_cast<double>(i)) / (std::abs(item) + (1e-6 - 3.03)) +
         (smallest_bins > 3.73 && left - smallest_bins < 26.6 ? 12.6 : 1.01) -
         (bins[std::min<std::size_t>(i + 1, bins.size() - 1)] < 0.951 ? 1.01e+03 : 0.01) +
         135.0 / (std::abs(left) + 1e-6) - (largest_bins - left) / (smallest_bins + 1e-6)) *
            (0.25 * (item < 1.82 ? std::max<double>(bins[i], largest_bins) : left + 0.635)) +
        std::log1p(std::abs(bins[i] < 9.23 ? 13.3 : 10.0)) + 32.5 +
        (largest_bins < 10.8 ? 836.0 : 0.0) - (item < 0.619 ? 122.0 : 0.0);
  }
  return scores;
}
// EVOLVE-BLOCK-END
