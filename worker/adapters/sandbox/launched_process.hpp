#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/adapters/sandbox/control_groups.hpp"
#include "worker/ports/gpu_watch.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// Starts the first process of a sandbox, on the cores of the calling thread, with these
/// descriptors: pairs of ours and its number, as supervisor.hpp has them. Gives its id, or 0 where
/// it is not a child of this process.
using Launch = std::function<Result<pid_t>(const std::vector<std::pair<int, int>>& descriptors)>;

struct LaunchOptions {
  std::string filter;  ///< System call filter.
  /// Makes a control group for it; not owned. Null: it gets none.
  ControlGroups* groups = nullptr;
  /// Watches the memory of its GPUs; not owned. Null: nobody does.
  GpuWatch* gpu_watch = nullptr;
  /// Memory that the control group allows beside the command's, in bytes.
  std::int64_t memory_not_counted = 0;
  /// How long to wait until the program runs. 0: not at all.
  std::chrono::milliseconds patience{0};
};

/// Launches a sandbox from a thread of its own, which then pumps its output and waits for its end.
/// Errors: those of `launch` and of ControlGroups::make; exhausted when memory of a GPU is limited
/// and nobody watches it; unavailable when there are no descriptors left, or when the program does
/// not run in time.
Result<std::unique_ptr<SandboxedProcess>> launch_process(const SandboxCommand& command,
                                                         const LaunchOptions& options,
                                                         Launch launch);

/// A user that no system hands out, for one sandbox. Errors: unavailable where too few are mapped.
Result<long long> make_user_id();

}  // namespace cambrian::worker
