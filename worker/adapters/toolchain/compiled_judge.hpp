#pragma once

#include "worker/adapters/toolchain/data_sources.hpp"
#include "worker/adapters/toolchain/toolchain.hpp"

namespace cambrian::worker {

/// The command of a judge's process without its program, arguments and mounts of its own.
SandboxCommand judge_process(const EvaluationRequest& request, int socket);

/// Judges from the task's sources, from a command, or ready ones of the SDK. Each is built once and
/// cached; a change of the evolvable files does not build it again.
class CompiledJudges final : public JudgeRuntime {
 public:
  CompiledJudges(Toolchain& toolchain, DataSources& data) : toolchain_(toolchain), data_(data) {}

  Result<BuildResult> build(const EvaluationRequest& request, std::stop_token stop) override;
  Result<std::unique_ptr<SandboxedProcess>> start(const EvaluationRequest& request,
                                                  const Program& program, int socket) override;

 private:
  Result<CachedFolder> task_folder(const Task& task);
  Result<CachedFolder> compile(const Task& task, BuildResult& result, std::stop_token stop);

  Toolchain& toolchain_;
  DataSources& data_;
};

}  // namespace cambrian::worker
