#include <algorithm>

#include "priority.hpp"

// The formula that FunSearch found for Weibull instances (Romera-Paredes et al., Nature 625, 2024),
// written anew.
// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  const double largest = *std::max_element(bins.begin(), bins.end());
  std::vector<double> raw(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double bin = bins[i];
    raw[i] = (bin - largest) * (bin - largest) / item + bin * bin / (item * item) +
             bin * bin / (item * item * item);
    if (bin > item) raw[i] = -raw[i];
  }
  std::vector<double> scores = raw;
  for (std::size_t i = 1; i < bins.size(); ++i) scores[i] = raw[i] - raw[i - 1];
  return scores;
}
// EVOLVE-BLOCK-END
