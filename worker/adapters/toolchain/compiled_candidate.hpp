#pragma once

#include "worker/adapters/toolchain/data_sources.hpp"
#include "worker/adapters/toolchain/toolchain.hpp"

namespace cambrian::worker {

/// The command of a candidate process without its program, arguments and mounts of its own.
SandboxCommand candidate_process(const EvaluationRequest& request, int socket);

/// Why a source is not even built; nothing when it may be.
std::optional<std::string> too_large(const EvaluationRequest& request);

/// Those of the files that are compiled.
std::vector<std::string> compiled_sources(const std::vector<FileToWrite>& files);

/// Names what a build makes of these files. `kind` begins the key.
std::string build_key(std::string_view kind, const EvaluationRequest& request,
                      const std::vector<FileToWrite>& files, const std::string& toolchain);

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
