#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/session.hpp"

namespace cambrian::cli {

/// `task run`: one evaluation on this machine.
struct LocalEvaluation {
  std::string folder;
  std::string source;
  std::uint64_t seed = 1;
  bool is_sealed = false;
  std::vector<std::string> parameters;
  std::string evaluator = "compile";  ///< Or warm.
};

/// Lets the worker program beside this one evaluate and shows the result. The exit code: 0 also for
/// a candidate that fails, because that is a result; 1 when the worker itself failed.
int run_local(Session& session, const LocalEvaluation& evaluation);

/// Runs a program of ours, its stderr going to ours. What it wrote to stdout and its exit code. A
/// stop ends it by SIGTERM, and waits for its end.
struct ProgramOutput {
  int exit_code = 0;
  std::string text;
};
Result<ProgramOutput> run_program(const std::vector<std::string>& command,
                                  std::stop_token stop = {});

}  // namespace cambrian::cli
