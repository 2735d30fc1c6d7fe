#pragma once

#include <span>
#include <vector>

#include "coordinator/search/types.hpp"

namespace cambrian::search {

enum class EarlyStopRule { median, halving };

/// Which trainings of a campaign are ended before they are done, by what their judge finds at
/// rungs.
struct EarlyStop {
  EarlyStopRule rule = EarlyStopRule::median;
  std::vector<double> rungs = {0.25, 0.5};  ///< Shares of the training's budget, ascending.
  int minimum = 8;                          ///< So many others must have passed the rung.
  double keep = 0.5;                        ///< Of `halving`: the share that goes on.
  friend bool operator==(const EarlyStop&, const EarlyStop&) = default;
};

/// True where a training is to be ended that is worth `own` at a rung, by what the `others` of its
/// campaign were worth there. `median` ends it where more than half of them were better; `halving`
/// where it is not among the best `keep` of all, itself included (asynchronous successive halving,
/// Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020; there trainings
/// wait to be promoted, here they go on until they are ended). Of equals nobody is better.
bool is_hopeless(const EarlyStop& rule, Goal goal, double own, std::span<const double> others);

}  // namespace cambrian::search
