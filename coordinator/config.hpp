#pragma once

#include <optional>
#include <string>

#include "cambrian/config/v1/config.pb.h"
#include "common/base/result.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// How long a start waits for a database that is not there yet.
inline constexpr milliseconds kDatabasePatience{10'000};

/// `token create`: on the database itself, for whoever may write there needs no other right.
struct TokenCommand {
  std::string name;
  std::string role = "admin";
  int days = 365;  ///< 0: until it is revoked.
};

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
  std::optional<config::v1::ServerTlsConfig> tls;
  bool requires_tokens = false;
  int calls_per_second = 500;                ///< Of each token of a person.
  int campaigns_per_user = 100;              ///< That have not ended.
  std::optional<milliseconds> keep_details;  ///< Of campaigns that have ended; none: for ever.
  /// Make this token and end.
  std::optional<TokenCommand> token_command;
};

/// Reads flags and the file that they name; flags win. Errors: `invalid_argument` with all
/// problems. Empty when the flags asked for help or the version, which was printed.
Result<std::optional<Config>> read_config(int argc, char** argv);

}  // namespace cambrian::coordinator
