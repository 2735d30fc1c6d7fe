#include "coordinator/search/share_learner.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace cambrian::search {
namespace {

// About the last fifty trials of an arm count: what pays changes as the search goes on.
constexpr double kMemory = 0.98;
// An arm begins with so many trials as good as those of all arms.
constexpr double kPriorTrials = 5;
// Of its first share an arm keeps about so much, and so shows when it has become worth more.
constexpr double kShareMin = 0.1;
// One lucky leap is worth no more than so many gains of the usual size.
constexpr double kGainMax = 4;

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// With the sum 1, whatever the largest is. None is 0: it may be the only one that is left to draw.
std::vector<double> shares_of(std::vector<double> weights) {
  constexpr double kSmallest = 1e-12;
  const double largest = *std::ranges::max_element(weights);
  for (double& weight : weights) weight = std::max(weight / largest, kSmallest);
  const double sum = sum_of(weights);
  for (double& weight : weights) weight /= sum;
  return weights;
}

}  // namespace

void ShareLearner::Sums::add(double new_gain, double new_cost) {
  trials = kMemory * trials + 1;
  gain = kMemory * gain + new_gain;
  cost = kMemory * cost + new_cost;
}

ShareLearner::ShareLearner(std::vector<double> weights)
    : first_(std::move(weights)), arms_(first_.size()) {}

void ShareLearner::tell(std::size_t arm, double gain, double cost) {
  if (gain > 0) {
    gains_.note(gain);
    gain = std::min(gain / gains_.usual(), kGainMax);
  }
  arms_.at(arm).add(gain, cost);
  all_.add(gain, cost);
}

std::vector<double> ShareLearner::weights() const {
  if (all_.trials == 0) return first_;
  const std::vector<double> shares = shares_of(first_);
  const double prior = kPriorTrials / all_.trials;
  std::vector<double> weights = shares;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] *= arms_[i].gain + prior * all_.gain;
    if (all_.cost > 0) weights[i] /= arms_[i].cost + prior * all_.cost;
  }
  const double sum = sum_of(weights);
  if (!(sum > 0) || !std::isfinite(sum)) return first_;  // Nothing gains, or not for long.
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = std::max(weights[i] / sum, kShareMin * shares[i]);
  }
  return shares_of(std::move(weights));
}

}  // namespace cambrian::search
