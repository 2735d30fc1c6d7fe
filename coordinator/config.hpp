#pragma once

#include <string>

#include "cambrian/config/v1/config.pb.h"
#include "common/base/result.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// The configuration with every default filled in.
struct Config {
  std::string listen;
  std::string metrics_listen;
  std::string database;
  std::string address_file;  ///< Empty: none. Only as a flag.
  int database_connections = 12;
  LeaseTimes times;
  milliseconds sync_interval{20'000};
  milliseconds shutdown_grace{10'000};
  bool has_reflection = false;
  bool is_open_to_anyone = false;
};

/// Reads flags and the file that they name; flags win. Errors: `invalid_argument` with all
/// problems. Empty when the flags asked for help or the version, which was printed.
Result<std::optional<Config>> read_config(int argc, char** argv);

}  // namespace cambrian::coordinator
