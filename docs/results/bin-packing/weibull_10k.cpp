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
        (-0.01 + (smallest_bins - static_cast<double>(i)) / (std::abs(item) + 1e-6) +
         (smallest_bins > 2.76 && left - smallest_bins < 29.0 ? 11.4 : 0.689) -
         (bins[std::min<std::size_t>(i + 1, bins.size() - 1)] < 0.951 ? 1.01e+03 : 0.01) +
         135.0 / (std::abs(left) + 1e-6) - (largest_bins - left) / (smallest_bins + 1e-6)) *
            (0.25 * (item < 2.46 ? std::max<double>(bins[i], largest_bins) : left + 0.635)) +
        std::log1p(std::abs(-left + 0.635)) + 32.5 + (largest_bins < 10.8 ? 836.0 : 0.0) -
        (item < 0.619 ? 122.0 : 0.0);
  }
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        (smallest_bins > std::exp(-std::abs(8.4 / 31.9)) && smallest_bins < 103.0
             ? 0.1 * static_cast<double>(k)
             : 0.1 * static_cast<double>(k) - 10000.0) +
        ((smallest_bins > 4.14 ? largest_bins : 0.5 * largest_bins) > 1.17 && largest_bins < 13.0
             ? 248.0
             : 0.0) +
        (smallest_bins > 8.46 && smallest_bins < 30.6 ? 12.1 : 0.0);
  for (std::size_t k = 0; k < scores.size(); ++k) scores[k] -= 0.00128 * static_cast<double>(k);
  return scores;
}
// EVOLVE-BLOCK-END
