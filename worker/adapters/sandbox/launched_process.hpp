#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// Starts the first process of a sandbox, on the cores of the calling thread, with these
/// descriptors: pairs of ours and its number, as supervisor.hpp has them. Gives its id, or 0 where
/// it is not a child of this process.
using Launch = std::function<Result<pid_t>(const std::vector<std::pair<int, int>>& descriptors)>;

/// Launches a sandbox from a thread of its own, which then pumps its output and waits for its end.
/// With a `patience`, waits until the program runs. Errors: those of `launch`; unavailable when
/// there are no descriptors left, or when the program does not run in that time.
Result<std::unique_ptr<SandboxedProcess>> launch_process(const SandboxCommand& command,
                                                         const std::string& filter, Launch launch,
                                                         std::chrono::milliseconds patience = {});

/// A user that no system hands out, for one sandbox. Errors: unavailable where too few are mapped.
Result<long long> make_user_id();

}  // namespace cambrian::worker
