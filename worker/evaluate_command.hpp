#pragma once

#include <string>
#include <vector>

#include "worker/assembly.hpp"

namespace cambrian::worker {

/// `cambrian-worker evaluate`: one evaluation on this machine, without any server.
struct EvaluateOptions {
  std::string task_folder;
  std::vector<std::string> sources;   ///< FILE for the only evolvable file, or PATH=FILE.
  std::vector<std::string> settings;  ///< NAME=NUMBER.
  std::uint64_t seed = 1;
  std::string split = "validation";
  std::vector<std::string> gpus;
};

/// Exit codes that programs may rely on.
inline constexpr int kExitOutcome = 0;         ///< An outcome was made, whatever it is.
inline constexpr int kExitInfrastructure = 1;  ///< This machine or the judge failed.
inline constexpr int kExitUsage = 2;           ///< The command line is wrong.
inline constexpr int kExitInvalid = 3;         ///< The task or an argument is wrong.

/// Prints one JSON object on stdout, progress and errors on stderr. Returns the exit code. SIGINT
/// and SIGTERM end the evaluation.
int run_evaluate(const EvaluateOptions& options, const Places& places);

}  // namespace cambrian::worker
