#pragma once

#include <string>
#include <vector>

#include "cambrian/config/v1/config.pb.h"
#include "common/base/result.hpp"
#include "worker/assembly.hpp"

namespace cambrian::worker {

/// Flags of the program without a subcommand; what is set wins over the file.
struct AgentFlags {
  std::string config_file;
  std::string coordinator;
  std::string name;
  int slots = 0;
  std::string gpus;
  std::string metrics_listen;
  std::vector<std::string> data;  ///< NAME=FOLDER.
  double idle_exit_seconds = 0;
  std::string evaluator;
  /// Where neither flag nor file names one.
  std::string evaluator_default = "warm";
};

inline constexpr int kSlotsMax = 64;

/// File and flags as one configuration, with the defaults that do not depend on this machine.
/// Errors: invalid_argument with the field.
Result<config::v1::WorkerConfig> make_config(const AgentFlags& flags);

/// Puts `cache_directory`, `cache_bytes` and `data_paths` into the places.
void apply_config(const config::v1::WorkerConfig& config, Places& places);

/// Leases work until it is told to end. Returns the exit code: 0, or 1 with one line that says why.
int run_agent(const config::v1::WorkerConfig& config, const Places& places);

}  // namespace cambrian::worker
