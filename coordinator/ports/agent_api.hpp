#pragma once

#include <functional>

#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// What an agent should be doing.
struct SyncAnswer {
  std::vector<Assignment> assignments;
  std::vector<Lease> cancelled;
  std::vector<Lease> stopped = {};
  milliseconds lease_duration{0};
  milliseconds next_sync{0};
  bool should_drain = false;
};

/// What the app offers to agents; the server calls it on the app's thread.
class AgentApi {
 public:
  virtual ~AgentApi() = default;

  /// Waits up to `report.wait_max` when there is no work. `is_caller_gone` is asked before work is
  /// given out: nobody would hear of it. Errors: those of WorkStore.
  virtual awaitable<Result<SyncAnswer>> sync(AgentReport report,
                                             std::function<bool()> is_caller_gone) = 0;

  /// Errors: those of WorkStore, and `invalid_argument`. A stale report is a verdict, not an error.
  virtual awaitable<Result<FinishState>> finish(WorkReport report) = 0;
};

}  // namespace cambrian::coordinator
