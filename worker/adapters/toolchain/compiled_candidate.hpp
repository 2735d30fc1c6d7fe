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

/// What beside the request's files decides what a build makes. Views: for one call.
struct BuildSetting {
  std::string_view kind;  ///< Begins the key.
  std::string_view toolchain;
  /// What a build cannot see here: the same source may take it in where it can.
  const std::vector<std::filesystem::path>& hidden;
};

/// Names what a build makes of these files.
std::string build_key(const BuildSetting& setting, const EvaluationRequest& request,
                      const std::vector<FileToWrite>& files);

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
