#include "priority.hpp"

#include <algorithm>
#include <cmath>

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double index = static_cast<double>(i);
    const double left = bins[i] - item;
    // First fit: the earliest bin wins, however much room the item leaves in it.
    scores[i] = -index + 0.0 * left;
  }
  return scores;
}
// EVOLVE-BLOCK-END
