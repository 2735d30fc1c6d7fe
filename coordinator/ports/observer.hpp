#pragma once

#include "coordinator/ports/agent_store.hpp"
#include "coordinator/ports/campaign_store.hpp"
#include "coordinator/ports/driver_store.hpp"

namespace cambrian::coordinator {

/// Hears what happens, to count it. Cheap, never fails. Any thread.
class Observer {
 public:
  virtual ~Observer() = default;

  /// Work was given to an agent.
  virtual void on_assigned(WorkKind kind, const std::vector<Assignment>& assignments) = 0;
  /// A report came in.
  virtual void on_report(const WorkReport& report, const FinishState& state) = 0;
  /// Attempts ended without a report.
  virtual void on_attempts_ended(const std::vector<EndedAttempt>& ended) = 0;
  /// A step of a campaign was carried out.
  virtual void on_step(const std::vector<Input>& inputs, const DriverStep& step,
                       const StepState& state, milliseconds duration) = 0;
  virtual void on_overview(const Overview& overview) = 0;
  /// Campaigns that have not ended.
  virtual void on_campaigns(const std::vector<CampaignRecord>& active) = 0;
};

}  // namespace cambrian::coordinator
