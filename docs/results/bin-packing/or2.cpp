#include "priority.hpp"

#include <algorithm>
#include <cmath>

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  const double largest_bins = bins.empty() ? 0.0 : *std::max_element(bins.begin(), bins.end());
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double index =
        static_cast<double>(i) -
        (largest_bins > 0.892 && largest_bins < 11.8 && static_cast<double>(i) < 5.55 ? 1.72e+03
                                                                                      : 0.0);
    const double left =
        bins[i] - item - 0.538 / (std::abs(bins[std::max<std::size_t>(i, 1) - 1]) + 1e-6) +
        9.49 * std::exp(
                   -(std::abs(bins[std::min<std::size_t>(i + 1, bins.size() - 1)] - 0.811) / 21.4));
    // First fit: the earliest bin wins, however much room the item leaves in it.
    scores[i] =
        ((left < -index ? left : left - 0.982) > 4.27
             ? (index > 0.352 /
                            (std::min<double>(index, largest_bins) / (std::abs(item - 1.0) + 1e-6) +
                             1e-6 / (std::abs(bins[std::max<std::size_t>(i, 1) - 1] +
                                              bins[std::min<std::size_t>(i + 1, bins.size() - 1)]) +
                                     1e-6))
                    ? (left < 23.0 ? index - (left + 0.25) : -index)
                    : std::tanh(std::log1p(std::max<double>(index, 0.0439)))) -
                   (left > 9.31 && left < 23.4 ? 315.0 : 1.19)
             : index + 226.0 / (std::abs(bins[i] - 1e-6) + 1e-6)) +
        (index < 8.22 ? 384.1600000000001 : 0.0) +
        0.723 * std::max<double>(largest_bins - 10.1, 0.0);
  }
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        (item > 22.8 && item < 301.0
             ? 0.0016 * static_cast<double>(k) -
                   (largest_bins - static_cast<double>(k) -
                    (std::abs(static_cast<double>(bins.size())) + 1e-6))
             : 0.0759 * (0.0016 * static_cast<double>(k) -
                         (largest_bins - static_cast<double>(k) -
                          (std::abs(static_cast<double>(bins.size())) + 1e-6)))) -
        (std::max<double>(scores[k], 0.699 * std::min<double>(largest_bins, scores[k])) > 3.65 &&
                 scores[k] < (std::max<double>(scores[k], item) - std::abs(item)) *
                                 std::min<double>(std::pow(std::abs(scores[k]), 3.78), item)
             ? 347.0
             : 0.0) +
        (static_cast<double>(k) > 15.2 && static_cast<double>(k) < 105.0 ? 682.0 : 0.0) -
        964.0 / (largest_bins + 1e-6) + (largest_bins < 0.805 ? 356.0 : 0.0);
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        (scores[std::min<std::size_t>(k + 1, scores.size() - 1)] > 2.69 &&
                 scores[std::min<std::size_t>(k + 1, scores.size() - 1)] <
                     (largest_bins > 0.532 && largest_bins < 5.87 ? 44.6
                                                                  : std::max<double>(44.6, 5.0))
             ? scores[std::min<std::size_t>(k + 1, scores.size() - 1)] +
                   0.1 * std::exp(-std::abs(largest_bins / 6.77))
             : std::max<double>(
                   1e-2 * (static_cast<double>(k) +
                           std::min<double>(
                               std::min<double>(largest_bins, scores[k]),
                               std::max<double>(static_cast<double>(bins.size()), largest_bins))) +
                       (largest_bins > 9.25 && largest_bins < 25.4 ? 63.8 : 0.0) +
                       0.1 * std::exp(-std::abs(largest_bins / 6.19)),
                   largest_bins)) +
        (scores[k] > 1.71 && scores[k] < 11.8 ? 11.7 : std::log1p(std::abs(0.0))) +
        0.295 * std::max<double>(scores[k] - 3.1, 0.0);
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -= 1e-2 * (std::abs(scores[k]) + 1e-6 + static_cast<double>(k));
  return scores;
}
// EVOLVE-BLOCK-END
