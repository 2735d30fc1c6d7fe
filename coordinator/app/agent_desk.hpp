#pragma once

#include <functional>
#include <vector>

#include "coordinator/app/hub.hpp"
#include "coordinator/ports/agent_api.hpp"
#include "coordinator/ports/observer.hpp"

namespace cambrian::coordinator {

/// Serves agents: renews their leases, finds work for them, stores what they report. Lives on the
/// app's single thread.
class AgentDesk final : public AgentApi {
 public:
  AgentDesk(WorkStore& store, Hub& hub, Observer& observer, LeaseTimes times,
            milliseconds sync_interval)
      : store_(store),
        hub_(hub),
        observer_(observer),
        times_(times),
        sync_interval_(sync_interval) {}

  awaitable<Result<SyncAnswer>> sync(AgentReport report,
                                     std::function<bool()> is_caller_gone) override;
  awaitable<Result<FinishState>> finish(WorkReport report) override;

 private:
  awaitable<Result<std::vector<Assignment>>> find_work(AgentReport report,
                                                       std::function<bool()> is_gone);
  milliseconds next_sync(const AgentReport& report) const;
  void note_served(const std::vector<Assignment>& assignments);

  WorkStore& store_;
  Hub& hub_;
  Observer& observer_;
  LeaseTimes times_;
  milliseconds sync_interval_;
  /// Campaigns that got an agent, the latest last: among equal priorities they take turns. Each
  /// coordinator has its own turns; together they are fair enough.
  std::vector<CampaignId> served_;
};

}  // namespace cambrian::coordinator
