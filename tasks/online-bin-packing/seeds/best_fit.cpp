#include "priority.hpp"

// EVOLVE-BLOCK-START priority
std::vector<double> priority(double item, const std::vector<double>& bins) {
  std::vector<double> scores(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    scores[i] = -(bins[i] - item);
  }
  return scores;
}
// EVOLVE-BLOCK-END
