#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/ports/campaign_store.hpp"
#include "coordinator/ports/driver_store.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator::simulation {

/// One event of a campaign's log. What the search made of inputs is the command.
struct Logged {
  std::int64_t sequence = 0;
  std::optional<search::Event> input;
  std::optional<search::Command> derived;
};

struct MemoryAttempt {
  std::string agent_id;
  std::string agent_name;
  std::string outcome;  ///< As in the column; empty: open.
  bool is_counted = false;
  bool has_stale_report = false;
  Instant ended_at;
  std::int64_t gpu_time_ms = 0;
  std::int64_t tokens = 0;
  std::int64_t cost_micro_usd = 0;
};

struct MemoryItem {
  ItemId id;
  CampaignId campaign;
  WorkKind kind = WorkKind::evaluation;
  std::int64_t number = 0;
  std::string state = "ready";  ///< As in the column.
  int priority = 50;
  Instant created_at;
  Instant not_before;
  std::int64_t epoch = 0;
  std::string agent_id;
  Instant renewed_at;
  Instant expires_at;
  Instant deadline;
  int worker_faults = 0;
  int losses = 0;
  std::vector<std::string> other_than;  ///< Workers that must not get it for now, by name.
  std::map<std::int64_t, MemoryAttempt> attempts;  ///< By epoch.
  bool has_result = false;
};

struct MemoryCampaign {
  CampaignId id;
  CampaignDefinition definition;
  CampaignState state = CampaignState::running;
  std::int64_t last_sequence = 0;
  std::int64_t applied_sequence = 0;
  std::int64_t stop_sequence = 0;
  std::int64_t driver_epoch = 0;
  bool has_driver = false;
  Instant driver_expires_at;
  Instant accrued_at;
  std::int64_t running_ms = 0;
  Consumption consumption;
  std::vector<Logged> log;
  std::vector<search::Command> commands;  ///< All that were carried out.
  std::map<std::int64_t, search::RequestProposal> proposals;
  std::map<std::int64_t, search::RequestEvaluation> evaluations;
  /// Names of the workers that evaluated a variant.
  std::map<std::int64_t, std::set<std::string>> evaluated_by;
};

/// What the coordinator's statements do (coordinator/adapters/postgres), in plain words and in
/// memory: the rules of items, leases, attempts, reports and drivers. `conformance_test.cpp`
/// compares both, call by call. Not in it: contents, calls of models, controls, rungs, reuse of
/// results, tuning of constants, deletion.
///
/// Each method is one transaction. Time stands still but for `now`.
class MemoryDatabase {
 public:
  Instant now{std::chrono::seconds(1'000'000)};

  CampaignId create(const CampaignDefinition& definition);
  Result<std::int64_t> request(CampaignId campaign, UserAction action);

  SyncState sync(const AgentReport& report, const LeaseTimes& times);
  std::vector<Assignment> claim(const Claim& claim, const LeaseTimes& times);
  void give_back(const std::vector<Lease>& leases);
  Result<FinishState> finish(const WorkReport& report);
  SweepState sweep(int count, Instant until);
  ReadyCounts count_ready() const;

  std::vector<DriverLease> acquire(milliseconds duration, int count);
  std::vector<RenewedDriver> renew(const std::vector<DriverLease>& leases, milliseconds duration);
  Result<DrivenCampaign> load(CampaignId campaign) const;
  std::vector<Input> read_inputs(CampaignId campaign, std::int64_t after, std::int64_t until,
                                 int count) const;
  Result<std::vector<Input>> next_inputs(const DriverLease& lease, std::int64_t applied,
                                         int count) const;
  Result<StepState> commit(const DriverStep& step);
  Status append_time(const DriverLease& lease, std::int64_t running_ms);
  void give_up(const std::vector<DriverLease>& leases);

  const std::map<CampaignId, MemoryCampaign>& campaigns() const { return campaigns_; }
  const std::map<ItemId, MemoryItem>& items() const { return items_; }

 private:
  struct Agent {
    std::string name;
    AgentKind kind = AgentKind::worker;
    std::vector<std::string> runtimes;
    int sandbox_level = 0;
    bool is_draining = false;
    std::vector<Lease> running;
    Instant last_sync_at;
  };
  enum class End { released, unable, infrastructure, lost, dropped, overrun };
  enum class After { ready, finished, poisoned };

  static std::string word_of(End end);
  MemoryItem* find_item(ItemId id);
  void note_agent(const AgentReport& report, const LeaseTimes& times);
  bool is_serving(const MemoryCampaign& campaign) const;
  bool may_take(const MemoryItem& item, const Claim& claim) const;
  bool is_barred(const MemoryItem& item, const AgentDescription& agent) const;
  Assignment grant(MemoryItem& item, const Claim& claim, const LeaseTimes& times);
  std::int64_t append(MemoryCampaign& campaign, Logged event);
  void charge(MemoryItem& item, std::int64_t gpu_time_ms, std::int64_t tokens,
              std::int64_t cost_micro_usd);
  After end_attempt(MemoryItem& item, End end);
  void make_ready(MemoryItem& item, milliseconds delay);
  void conclude_unreported(MemoryItem& item, search::Outcome outcome);
  std::optional<search::Outcome> find_poison(const MemoryItem& item) const;
  bool is_used_up(const MemoryItem& item) const;
  void store(MemoryItem& item, const EvaluationResult& result, const std::string& agent_name);
  void store(MemoryItem& item, const ProposalResult& result);
  void cancel(MemoryCampaign& campaign, WorkKind kind, const std::set<std::int64_t>& numbers,
              StepState& state);
  void carry_out(MemoryCampaign& campaign, const search::Command& command, StepState& state);
  void add_item(MemoryCampaign& campaign, WorkKind kind, std::int64_t number,
                std::vector<std::string> other_than);

  std::map<CampaignId, MemoryCampaign> campaigns_;
  std::map<ItemId, MemoryItem> items_;
  std::map<std::string, Agent> agents_;
};

}  // namespace cambrian::coordinator::simulation
