#pragma once

#include "worker/adapters/toolchain/compiled_candidate.hpp"
#include "worker/adapters/toolchain/fixed_objects.hpp"
#include "worker/adapters/toolchain/warm_templates.hpp"
#include "worker/evaluator/source_archive.hpp"

namespace cambrian::worker {

/// The warm evaluator for a request. Nothing: it is one for the plain way, with compiler options,
/// several cores, or a build or run command that is not plain Python.
std::optional<WarmKind> warm_kind(const EvaluationRequest& request);

/// Candidates by the warm evaluator, and by the plain way whatever it cannot do, and everything
/// while it is not ready. A GPU is not offered to forks: such a candidate is compiled warm and
/// started cold.
class WarmCandidates final : public CandidateRuntime {
 public:
  /// All must outlive it.
  WarmCandidates(Toolchain& toolchain, const DataSources& data, CandidateRuntime& plain,
                 std::filesystem::path programs)
      : toolchain_(toolchain), data_(data), plain_(plain), templates_(toolchain, programs) {}

  std::string toolchain_digest() const override { return plain_.toolchain_digest(); }
  Result<BuildResult> build(const EvaluationRequest& request, std::stop_token stop) override;
  Result<std::unique_ptr<SandboxedProcess>> start(const EvaluationRequest& request,
                                                  const Program& program, int socket) override;
  WarmTemplates& templates() { return templates_; }

 private:
  Result<std::optional<BuildResult>> build_warm(const EvaluationRequest& request, WarmKind kind,
                                                std::stop_token stop);
  Result<CompileInputs> compile_fixed_warm(const EvaluationRequest& request,
                                           const std::vector<FileToWrite>& files, WarmKind kind,
                                           std::stop_token stop);
  Result<std::optional<BuildResult>> compile(const EvaluationRequest& request,
                                             const std::vector<FileToWrite>& files,
                                             const std::string& key, WarmKind kind,
                                             std::stop_token stop);
  /// Null: the host takes none.
  Result<std::unique_ptr<SandboxedProcess>> fork_host(const EvaluationRequest& request,
                                                      WarmKind kind, SandboxCommand command,
                                                      const std::vector<ArchivedFile>& files);
  /// `command` has the mounts of the program.
  Result<std::unique_ptr<SandboxedProcess>> start_cold(const EvaluationRequest& request,
                                                       SandboxCommand command);

  Toolchain& toolchain_;
  const DataSources& data_;
  CandidateRuntime& plain_;
  WarmTemplates templates_;
};

}  // namespace cambrian::worker
