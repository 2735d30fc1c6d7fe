#pragma once

#include "worker/adapters/toolchain/data_sources.hpp"
#include "worker/adapters/toolchain/toolchain.hpp"

namespace cambrian::worker {

/// Candidates by the compiler of this machine (libtorch, cpp) or by the task's own build command
/// (process). What was built is cached by its sources, options and toolchain, so that the same
/// variant with another seed is not built again.
class CompiledCandidates final : public CandidateRuntime {
 public:
  CompiledCandidates(Toolchain& toolchain, const DataSources& data)
      : toolchain_(toolchain), data_(data) {}

  std::string toolchain_digest() const override { return toolchain_.digest(); }
  Result<BuildResult> build(const EvaluationRequest& request, std::stop_token stop) override;
  Result<std::unique_ptr<SandboxedProcess>> start(const EvaluationRequest& request,
                                                  const Program& program, int socket) override;

 private:
  Result<BuildRun> compile(const EvaluationRequest& request, const std::filesystem::path& sources,
                           const std::filesystem::path& output, std::stop_token stop);
  Result<BuildRun> run_build_command(const EvaluationRequest& request,
                                     const std::filesystem::path& output, std::stop_token stop);

  Toolchain& toolchain_;
  const DataSources& data_;
};

}  // namespace cambrian::worker
