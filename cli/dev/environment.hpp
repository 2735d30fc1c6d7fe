#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "cli/dev/services.hpp"
#include "cli/dev/state.hpp"
#include "common/base/result.hpp"

namespace cambrian::cli::dev {

/// Gets one line for each step.
using Report = std::function<void(const std::string&)>;

/// What `up` found or did.
struct UpResult {
  State state;
  bool was_running = false;
  std::chrono::milliseconds took{0};
};

/// Starts the environment and waits until everything is ready. Nothing happens when it runs with
/// the same programs and options; with others it is started anew. Of several calls at once, all end
/// in one environment. Errors: not_found for missing programs or PostgreSQL, conflict for a taken
/// port, exhausted for a full disk, unavailable with the end of a log for a service that does not
/// come up; everything is ended again then.
Result<UpResult> up(const EnvironmentOptions& options, const Report& report);

/// Has the supervisor start again what was drained, and gives the names: also of what drains now
/// and has not ended yet, when it is called again.
std::vector<std::string> restart_drained(const std::filesystem::path& directory);

/// Ends everything, also what a killed supervisor left behind. False when nothing ran.
Result<bool> down(const std::filesystem::path& directory, const Report& report);

/// The state of an environment and whether its supervisor lives; nothing when there never was one.
struct StatusResult {
  State state;
  bool is_running = false;
};
Result<std::optional<StatusResult>> status(const std::filesystem::path& directory);

}  // namespace cambrian::cli::dev
