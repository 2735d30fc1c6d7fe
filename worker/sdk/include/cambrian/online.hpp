#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cambrian/judge.hpp"

namespace cambrian {

/// One run of a problem in which everything is decided before the next thing is known: requests to
/// serve, items to pack, prices to take. It keeps the account itself.
class OnlineInstance {
 public:
  virtual ~OnlineInstance() = default;
  /// What is known at this step. It may depend on what was done before.
  virtual std::vector<double> observe() = 0;
  /// What the candidate does about it: finite numbers. Throws Failure (bad_output) where that is
  /// against the rules.
  virtual void act(std::span<const double> action) = 0;
  /// What the whole run cost or earned.
  virtual double score() const = 0;
};

struct OnlineTask {
  std::vector<std::unique_ptr<OnlineInstance>> instances = {};
  std::int64_t steps = 0;
  std::int64_t observation_size = 1;  ///< Numbers in one observation.
  std::int64_t action_size = 1;       ///< Numbers in one action.
};

/// Runs all instances side by side with one candidate: a question has the tensor `observations`
/// (f64 [instances, observation_size]), its answer `actions` (f64 [instances, action_size]). The
/// next observations are made after the answer.
/// Parameter of the task: answer_seconds, for each answer (default 10).
/// Metrics: score, the mean over the instances, and score_standard_error. The digest covers the
/// actions. Throws std::invalid_argument where there is no instance or no step, or an observation
/// has another size.
Verdict judge_online(Session& session, OnlineTask& task);

}  // namespace cambrian
