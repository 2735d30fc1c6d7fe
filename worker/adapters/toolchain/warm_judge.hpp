#pragma once

#include <optional>

#include "worker/adapters/toolchain/compiled_judge.hpp"
#include "worker/adapters/toolchain/warm_templates.hpp"

namespace cambrian::worker {

/// The warm evaluator for a request's judge: one in Python spends most of its short life importing
/// NumPy. Nothing for those that go the plain way: compiled ones, and those with data that are
/// mounted for them, with several cores, with a command that is not plain Python, or with so large
/// a task folder that to copy it takes longer.
std::optional<WarmKind> warm_judge_kind(const EvaluationRequest& request);

/// Judges in Python as forks of a process that has imported the SDK, which no candidate is forked
/// from, and the others by the plain way, and everything while it is not ready.
class WarmJudges final : public JudgeRuntime {
 public:
  /// Both must outlive it.
  WarmJudges(WarmTemplates& templates, JudgeRuntime& plain)
      : templates_(templates), plain_(plain) {}

  Result<BuildResult> build(const EvaluationRequest& request, std::stop_token stop) override;
  Result<std::unique_ptr<SandboxedProcess>> start(const EvaluationRequest& request,
                                                  const Program& program, int socket) override;

 private:
  /// Null: there is no warm way now, or never for this judge.
  std::unique_ptr<SandboxedProcess> fork(const EvaluationRequest& request, int socket);

  WarmTemplates& templates_;
  JudgeRuntime& plain_;
};

}  // namespace cambrian::worker
