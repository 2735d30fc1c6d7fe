#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "worker/evaluation/types.hpp"

namespace cambrian::worker {

/// What a judge says about a candidate.
struct Verdict {
  Outcome outcome = Outcome::infrastructure;
  std::map<std::string, double> metrics;
  std::string diagnostics;
  std::string behaviour_digest;
};

/// Replaces a judge's `crash` and `timeout` by what the worker saw of the process: the judge sees
/// only that a stream ended or stayed silent. Other outcomes are left as they are. `log` is the end
/// of the candidate's output: it only decides between `crash` and `out_of_memory`.
Verdict refine_verdict(Verdict verdict, const ProcessExit& exit, const Limits& limits,
                       std::string_view log);

/// Applies the task's own bounds to a success: a missing metric is the judge's failure, a metric
/// outside of its honest range is a bad output, one that is not finite is `not_finite`.
Verdict check_plausible(Verdict verdict, const std::vector<Objective>& objectives);

/// How a build ended that did not give a program: `compile_error`, or the limit that stopped it.
Outcome classify_build_failure(const ProcessExit& exit);

/// The limit that ended a process: time, memory, disk, processes or output; empty for none.
std::string_view limit_hit(const ProcessExit& exit, const Limits& limits);

/// The end of a process in words: "ended by signal 11 (segmentation fault)".
std::string describe_exit(const ProcessExit& exit);

}  // namespace cambrian::worker
