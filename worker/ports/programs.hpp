#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "worker/evaluation/types.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// What a build left behind. Destroying it lets the cache remove it.
class Program {
 public:
  virtual ~Program() = default;
};

/// A program, or why the source gave none.
struct BuildResult {
  std::shared_ptr<const Program> program;  ///< Null: it failed.
  Outcome failure = Outcome::compile_error;
  std::string diagnostics;
  bool is_cached = false;
  Duration cpu_time{0};
  EvaluatorPath path = EvaluatorPath::compile;
};

/// Turns a variant's source into candidate processes. One implementation runs a compiler; a warm
/// evaluator that forks from a process with LibTorch in it fits behind the same three methods.
/// Threads: any, several at once; all methods block.
class CandidateRuntime {
 public:
  virtual ~CandidateRuntime() = default;

  /// Names compiler, libraries, SDK and options: equal digests build equal programs.
  virtual std::string toolchain_digest() const = 0;
  /// Builds the candidate of a request. Errors: invalid_argument when the task itself cannot be
  /// built, unavailable when this machine lacks something, cancelled.
  virtual Result<BuildResult> build(const EvaluationRequest& request, std::stop_token stop) = 0;
  /// Starts a fresh process of it whose CAMBRIAN_FD is `socket`. Errors: those of Sandbox::start.
  virtual Result<std::unique_ptr<SandboxedProcess>> start(const EvaluationRequest& request,
                                                          const Program& program, int socket) = 0;
};

/// Turns a task into judge processes: compiled once for each task, cached. Threads: as above.
class JudgeRuntime {
 public:
  virtual ~JudgeRuntime() = default;

  /// Checks the task's data and builds the judge; the result always has a program. A judge that
  /// does not compile is an error (invalid_argument): the task is broken, not the variant.
  /// unavailable: data are missing here.
  virtual Result<BuildResult> build(const EvaluationRequest& request, std::stop_token stop) = 0;
  virtual Result<std::unique_ptr<SandboxedProcess>> start(const EvaluationRequest& request,
                                                          const Program& program, int socket) = 0;
};

}  // namespace cambrian::worker
