#pragma once

#include <functional>
#include <map>
#include <optional>

#include "coordinator/app/hub.hpp"
#include "coordinator/ports/agent_store.hpp"
#include "coordinator/ports/campaign_store.hpp"
#include "coordinator/ports/cleanup_store.hpp"
#include "coordinator/ports/observer.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// What happens on its own: hints from other coordinators, expired leases, numbers for metrics.
/// Every part is idempotent and may run in any number of coordinators. Lives on the app's thread.
class Housekeeping {
 public:
  struct Stores {
    WorkStore& work;
    CampaignStore& campaigns;
    AgentStore& agents;
    CleanupStore& cleanup;
  };
  /// `keep_details`: of campaigns that have ended; none: for ever. `on_health` hears whether the
  /// database serves, at every look.
  Housekeeping(Stores stores, Hub& hub, Observer& observer, LeaseTimes times,
               std::optional<milliseconds> keep_details, std::function<void(bool)> on_health)
      : stores_(stores),
        hub_(hub),
        observer_(observer),
        times_(times),
        keep_details_(keep_details),
        on_health_(std::move(on_health)) {}

  /// Each runs until the hub closes.
  awaitable<void> run_poll();
  awaitable<void> run_sweep();
  awaitable<void> run_overview();
  awaitable<void> run_cleanup();

 private:
  awaitable<Status> poll_once();
  awaitable<Status> sweep_once();
  milliseconds gap_max() const;
  void note_look(Instant now);
  /// Expired leases may be ended until then, by the database's clock.
  Instant sweep_until() const;
  awaitable<Status> observe_once();

  Stores stores_;
  Hub& hub_;
  Observer& observer_;
  LeaseTimes times_;
  std::optional<milliseconds> keep_details_;
  std::function<void(bool)> on_health_;
  std::map<CampaignId, std::int64_t> sequences_;
  /// The last sweep, and since when they have come without a gap: agents could renew their leases
  /// all that time. Both by the database's clock, the only one that goes on whoever sleeps: a
  /// hanging database, this process, or the machine with both. Empty after a sweep that failed.
  std::optional<Instant> looked_at_;
  Instant reachable_since_;
};

}  // namespace cambrian::coordinator
