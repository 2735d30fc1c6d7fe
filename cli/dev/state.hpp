#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/dev/layout.hpp"
#include "cli/dev/process.hpp"
#include "common/base/result.hpp"

namespace cambrian::cli::dev {

/// One process that the supervisor looks after.
struct ServiceState {
  std::string name;
  /// starting, ready, waiting (for its restart), drained (told to end; SIGHUP to the supervisor
  /// starts it again) or stopped.
  std::string phase;
  ProcessId process;
  int restarts = 0;
  std::string last_exit;  ///< How it ended the last time: `exit code 1`, `signal 9`.
};

/// What the supervisor tells everybody else, in state.json.
struct State {
  ProcessId supervisor;
  std::string fingerprint;  ///< Programs and options: another one means a restart.
  std::string endpoint;     ///< Of the coordinator.
  std::string metrics;      ///< host:port of its /metrics.
  std::string model_url;  ///< Base URL of the embedded code model; empty when another one is used.
  std::string database;   ///< Connection string.
  bool is_ready = false;  ///< Everything ran at once, at least one time.
  std::string error;      ///< A service that does not come up, with the reason.
  std::vector<ServiceState> services;
};

/// Nothing when there is no state. Errors: internal for a damaged file.
Result<std::optional<State>> read_state(const Layout& layout);

/// Replaces the file at once. Errors: unavailable, for example when the disk is full.
Status write_state(const Layout& layout, const State& state);

/// The process that holds the lock; 0 when there is no supervisor. The kernel answers, so a stale
/// file cannot mislead.
pid_t lock_holder(const Layout& layout);

/// Takes the lock for the life of this process. conflict when somebody has it.
Status take_lock(const Layout& layout);

/// The endpoint of an environment that runs now; empty otherwise.
std::string running_endpoint(const std::filesystem::path& directory);

}  // namespace cambrian::cli::dev
