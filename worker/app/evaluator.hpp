#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>

#include "common/base/result.hpp"
#include "worker/evaluation/types.hpp"
#include "worker/ports/judge_link.hpp"
#include "worker/ports/programs.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// Called at each change of phase (compile, train, judge), then with nothing known of the training,
/// and whenever the judge says how far it is. From the evaluating thread.
using ReportProgress =
    std::function<void(std::string_view phase, const TrainingProgress& training)>;

/// What a stop leaves behind.
struct Handover {
  /// Asked once, when the evaluation was stopped: whether its training is to be saved, which takes
  /// some seconds at most.
  std::function<bool()> is_wanted;
  /// The training, where it could be saved.
  std::optional<Checkpoint> saved = std::nullopt;
};

/// Evaluates variants: build the candidate, build or find the judge, let the judge examine fresh
/// candidate processes, make of its verdict and of what the sandboxes saw an outcome.
class Evaluator {
 public:
  /// All four must outlive the evaluator.
  Evaluator(Sandbox& sandbox, CandidateRuntime& candidates, JudgeRuntime& judges, JudgeLinks& links)
      : sandbox_(sandbox), candidates_(candidates), judges_(judges), links_(links) {}

  /// One evaluation, from start to end on the calling thread. Whatever the candidate does is a
  /// result. Errors: invalid_argument when the task is broken; unavailable when this machine lacks
  /// something and another may not; cancelled when `stop` was asked for, with what is left then in
  /// `handover`, which may be null.
  /// Threads: several at once.
  /// A training that is going on when `stop_early` is asked for ends as Outcome::stopped_early.
  Result<EvaluationResult> evaluate(EvaluationRequest request, std::stop_token stop,
                                    const ReportProgress& report, Handover* handover = nullptr,
                                    std::stop_token stop_early = {});

 private:
  Sandbox& sandbox_;
  CandidateRuntime& candidates_;
  JudgeRuntime& judges_;
  JudgeLinks& links_;
};

/// Key under which a result may be shared: digest over everything that can change it.
std::string result_key(const EvaluationRequest& request, const std::string& toolchain_digest);

}  // namespace cambrian::worker
