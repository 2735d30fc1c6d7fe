#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cambrian/judge.hpp"

namespace cambrian {

/// A thing to be constructed: a packing, a schedule, a code, a graph.
struct ConstructionTask {
  /// What the candidate is told, beside `seconds`.
  JsonObject question = {};
  /// What its answer consists of.
  std::vector<TensorSpec> answer = {};
  /// Checks an answer against every rule, without trusting a number in it, and gives what it is
  /// worth. Throws Failure (bad_output) where it breaks one.
  std::function<double(const Message& answer)> verify = {};
  /// Name of the metric.
  std::string metric = "score";
};

/// Asks a candidate once and verifies what it constructed.
/// Parameter of the task: solve_seconds, what the candidate may take (default 2), by this clock and
/// with a second of grace.
/// Metric: the task's own. The digest covers the answer.
Verdict judge_construction(Session& session, const ConstructionTask& task);

}  // namespace cambrian
