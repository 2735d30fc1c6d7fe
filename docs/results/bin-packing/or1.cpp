#include "priority.hpp"

#include <algorithm>
#include <cmath>

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double index = bins[i] > 30.8 && bins[i] < 93.0
                             ? item / (std::abs(bins[std::max<std::size_t>(i, 1) - 1]) + 1e-6)
                             : 3.53;
    const double left =
        item > 3.47 && item < std::min<double>(
                                  12.2, std::exp(-std::abs(std::log1p(std::abs(
                                            bins[std::min<std::size_t>(i + 1, bins.size() - 1)])))))
            ? bins[i] + item
            : 0.284 * (bins[i] - item);
    // First fit: the earliest bin wins, however much room the item leaves in it.
    scores[i] =
        -index -
        (bins[i] > 13.9
             ? (left > 3.01 ? std::max<double>(index + index, -item)
                            : item * -(static_cast<double>(i) > 18.6
                                           ? item
                                           : std::sqrt(std::abs(std::max<double>(0.0904, bins[i]) +
                                                                left / (index - left + 1e-6))))) /
                   (std::abs(left) + 1e-6)
             : 602.0 / (std::abs(bins[i]) + 1e-6) * (std::abs(bins[i]) + 1e-6) - 3.68) +
        (-index - (0.00219 + bins[i])) + 10.5 * std::exp(-std::abs(static_cast<double>(i) - 5.76)) +
        (bins[i] > std::log1p(std::abs(bins[i] + left)) && left < 6.44 ? 8.09 - 100.0 : 1.11);
  }
  for (std::size_t k = 0; k < scores.size(); ++k)
    scores[k] -=
        (item < 1.1 && item >= std::log1p(std::abs(7.31))
             ? std::min<double>(std::max<double>(static_cast<double>(bins.size()), scores[k]),
                                std::tanh(static_cast<double>(k)))
             : static_cast<double>(k)) -
        (item > 6.64 && item < 9.17 && scores[k] > 43.1 ? 190.0 : 0.01) +
        (0.0 / (std::abs(0.399 * item) + 1e-6) + std::min<double>(item + item, std::abs(item))) *
            std::max<double>(item - scores[k], 0.0) +
        (item < 1.86 ? 397.0 : 0.0) -
        (static_cast<double>(k) > 3.21 && static_cast<double>(k) < 18.4 ? 29.9 : 0.0);
  return scores;
}
// EVOLVE-BLOCK-END
