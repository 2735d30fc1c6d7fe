#pragma once

#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

/// Ready work of a campaign that no living agent can do, by what it needs.
struct Shortage {
  CampaignId campaign;
  WorkKind kind = WorkKind::evaluation;
  std::string model;    ///< Of a proposal; empty: any.
  std::string runtime;  ///< Of an evaluation, as are the next two.
  int sandbox_level = 0;
  int gpus = 0;
  bool has_agents = false;  ///< Agents of the kind are there; none of them can do it.
  /// Which worker could do it and takes no work now, and why, for people. Empty: none.
  std::string trouble = {};
  /// The last proposal that ended, ended because no endpoint answered; the agents are there.
  bool is_endpoint_away = false;
};

/// Campaigns that wait for agents or endpoints that are not there. Any executor; never blocks the
/// caller. Every method may fail with `unavailable`, `exhausted` or `deadline_exceeded`.
class ShortageStore {
 public:
  virtual ~ShortageStore() = default;

  /// One for each campaign with work that has been ready for `patience` and that no agent can do
  /// of those that called within `silence_max` and take new work, and for each that searches and
  /// whose last proposal no endpoint answered.
  virtual awaitable<Result<std::vector<Shortage>>> find(milliseconds silence_max,
                                                        milliseconds patience) = 0;

  /// What the logs of active campaigns say last: those that wait, and why.
  virtual awaitable<Result<std::map<CampaignId, std::string>>> noted() = 0;

  /// Notes in the log that a campaign waits, or with an empty reason that it does no more. No
  /// change where the log says so already, or the campaign is paused, ended or gone.
  virtual awaitable<Status> note(CampaignId campaign, std::string reason) = 0;
};

}  // namespace cambrian::coordinator
