#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace cambrian::cli::dev {

/// A process that cannot be mistaken for a later one with the same number.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< Since boot, as /proc/PID/stat tells.

  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

/// The process of that number as it is now; nothing when there is none, or only its remains.
std::optional<ProcessId> find_process(pid_t pid);

/// True while that very process lives.
bool is_alive(const ProcessId& process);

/// Sends a signal to that very process; false when it is gone.
bool send_signal(const ProcessId& process, int signal);

/// Waits until a process that may not be our child is gone. False when it still lives afterwards.
bool wait_for_end(const ProcessId& process, std::chrono::milliseconds timeout);

/// What to start.
struct SpawnRequest {
  std::vector<std::string> arguments;              ///< The program first, with its path.
  std::map<std::string, std::string> environment;  ///< Added to ours.
  std::filesystem::path log;                       ///< stdout and stderr are appended to it.
  std::filesystem::path folder;                    ///< Working directory.
};

/// Starts a process in its own session, with all signals as they are by default and nothing of ours
/// open. Errors: not_found for a missing program, unavailable otherwise.
Result<ProcessId> spawn(const SpawnRequest& request);

/// Runs a short command and waits for it. Its output goes to `request.log`. The exit code, or 128
/// and the signal. deadline_exceeded when it took longer: it was ended then.
Result<int> run(const SpawnRequest& request, std::chrono::milliseconds timeout);

/// The last lines of a file, at most `bytes_max`: for error messages. Empty when it is not there.
std::string tail_of(const std::filesystem::path& path, std::size_t bytes_max);

}  // namespace cambrian::cli::dev
