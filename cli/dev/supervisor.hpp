#pragma once

#include "cli/dev/services.hpp"
#include "common/base/result.hpp"

namespace cambrian::cli::dev {

/// Runs an environment until SIGTERM or SIGINT, or, with CAMBRIAN_DEV_UNTIL=PID, until that process
/// ends (for tests, which may be killed): starts PostgreSQL and the services in order, restarts
/// what dies (after 0.2 s, then longer, at most 5 s), leaves down until SIGHUP what was drained,
/// writes state.json at each change, and ends everything in reverse order. Blocks. Errors: conflict
/// when another supervisor runs here; what create_folders, Postgres and write_state say.
Status supervise(const EnvironmentOptions& options);

}  // namespace cambrian::cli::dev
