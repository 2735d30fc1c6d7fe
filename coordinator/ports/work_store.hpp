#pragma once

#include <boost/asio/awaitable.hpp>

#include "common/base/result.hpp"
#include "coordinator/ports/work.hpp"

namespace cambrian::coordinator {

using boost::asio::awaitable;

/// How long leases and attempts live, and how often workers are compared.
struct LeaseTimes {
  milliseconds lease{60'000};
  milliseconds evaluation_attempt{1'800'000};
  milliseconds proposal_attempt{900'000};
  milliseconds control_interval{1'800'000};  ///< Between two controls of a worker.
  bool has_controls = true;
};

/// An attempt that ended without a report: released, unable, lost, dropped, overrun, cancelled.
struct EndedAttempt {
  WorkKind kind = WorkKind::evaluation;
  std::string outcome;
};

/// What an agent asks for.
struct Claim {
  AgentDescription agent;
  int count = 1;
  /// Campaigns that had their turn, the latest last; those that are not named come first.
  std::vector<CampaignId> served;
};

/// What the store knows about an agent's leases after its report.
struct SyncState {
  std::vector<Lease> cancelled;     ///< Named in `running`, and no longer this agent's.
  std::vector<Lease> stopped = {};  ///< Named with rungs at which others were better.
  bool should_drain = false;
  bool is_quarantined = false;
  std::vector<EndedAttempt> released;
};

struct FinishState {
  Verdict verdict = Verdict::unknown;
  CampaignId campaign;
};

/// Leases that ended without a report.
struct SweepState {
  std::vector<EndedAttempt> ended;
  int poisoned = 0;                   ///< Items that ended as a candidate failure.
  std::vector<CampaignId> campaigns;  ///< That got an event by it.
  Instant now;                        ///< The database's clock when it looked.
};

/// Items that could be given out now.
struct ReadyCounts {
  int evaluations = 0;
  int proposals = 0;
};

/// The queue and its leases. All times are the database's. Any executor; never blocks the caller.
/// Every method may fail with `unavailable` (database away), `exhausted` (too many calls wait) or
/// `deadline_exceeded`; more is said at the method. Methods read back what they cannot know.
class WorkStore {
 public:
  virtual ~WorkStore() = default;

  /// Notes that the agent is alive, renews what it runs, takes back what it releases, decides about
  /// trainings that are at a new rung.
  virtual awaitable<Result<SyncState>> sync(AgentReport report, LeaseTimes times) = 0;

  /// Leases at most `claim.count` items that the agent can do: by priority, then by turn of their
  /// campaigns, then the oldest. Where a worker is due for a control (`ControlStore`), that takes
  /// the place of one of them.
  virtual awaitable<Result<std::vector<Assignment>>> claim(Claim claim, LeaseTimes times) = 0;

  /// Makes items ready again: their leases never reached an agent, or the agent may not keep them.
  virtual awaitable<Status> give_back(std::vector<Lease> leases, std::string why) = 0;

  /// Stores a report in one transaction with the event that it causes.
  virtual awaitable<Result<FinishState>> finish(WorkReport report) = 0;

  /// Ends expired leases, at most `count`. Any number of coordinators may sweep at once. Ends none
  /// when the database's clock has passed `until`: a call that was held up on its way finds leases
  /// expired that nobody could renew meanwhile.
  virtual awaitable<Result<SweepState>> sweep(int count, Instant until) = 0;

  virtual awaitable<Result<ReadyCounts>> count_ready() = 0;
};

}  // namespace cambrian::coordinator
