#pragma once

#include "coordinator/ports/campaign.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// The right to drive one campaign. Every step carries it.
struct DriverLease {
  CampaignId campaign;
  std::int64_t epoch = 0;
  friend auto operator<=>(const DriverLease&, const DriverLease&) = default;
};

/// A campaign as its driver needs it.
struct DrivenCampaign {
  std::string name;
  search::Settings settings;
  std::int64_t applied_sequence = 0;
};

/// An event that the search has to handle.
struct Input {
  std::int64_t sequence = 0;
  search::Event event;
};

/// What the search made of some inputs, to be carried out at once.
struct DriverStep {
  DriverLease lease;
  std::int64_t applied_before = 0;  ///< Must still hold, or the step is refused.
  std::int64_t applied_after = 0;
  std::vector<search::Command> commands;
};

struct StepState {
  CampaignState state = CampaignState::running;
  int evaluations_added = 0;
  int evaluations_reused = 0;  ///< Results were known: they are the next inputs.
  int proposals_added = 0;
  std::vector<EndedAttempt> cancelled;
};

struct RenewedDriver {
  DriverLease lease;
  std::int64_t running_ms = 0;
};

/// What a driver of campaigns needs. Any executor; never blocks the caller. Every method may fail
/// with `unavailable`, `exhausted` or `deadline_exceeded`.
class DriverStore {
 public:
  virtual ~DriverStore() = default;

  /// Takes campaigns that nobody drives, at most `count`.
  virtual awaitable<Result<std::vector<DriverLease>>> acquire(std::string driver,
                                                              milliseconds duration, int count) = 0;

  /// Renews the leases in one statement and adds to the running time. What is missing from the
  /// answer is lost.
  virtual awaitable<Result<std::vector<RenewedDriver>>> renew(std::vector<DriverLease> leases,
                                                              milliseconds duration) = 0;

  /// Errors: `not_found`.
  virtual awaitable<Result<DrivenCampaign>> load(CampaignId campaign) = 0;

  /// Inputs behind `after` up to `until`, at most `count`, in order: for the replay.
  virtual awaitable<Result<std::vector<Input>>> read_inputs(CampaignId campaign, std::int64_t after,
                                                            std::int64_t until, int count) = 0;

  /// Inputs that are not applied yet, at most `count`, in order. Errors: `conflict` when the lease
  /// is lost; `outcome_unknown` when the applied sequence is another one: load again.
  virtual awaitable<Result<std::vector<Input>>> next_inputs(DriverLease lease, std::int64_t applied,
                                                            int count) = 0;

  /// Carries out the commands, appends what happened to the log and advances the applied
  /// sequence, in one transaction. Errors: `conflict` when the lease is lost; `outcome_unknown`
  /// when the answer was lost or the applied sequence is another one. After any error: load again.
  virtual awaitable<Result<StepState>> commit(DriverStep step) = 0;

  /// Tells the search how long the campaign has run. Errors: `conflict` when the lease is lost.
  virtual awaitable<Status> append_time(DriverLease lease, std::int64_t running_ms) = 0;

  /// Gives the leases back, so that another coordinator may go on at once.
  virtual awaitable<Status> give_up(std::vector<DriverLease> leases) = 0;
};

}  // namespace cambrian::coordinator
