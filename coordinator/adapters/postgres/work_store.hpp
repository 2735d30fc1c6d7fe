#pragma once

#include <map>
#include <string>

#include "coordinator/adapters/postgres/claim_hints.hpp"
#include "coordinator/adapters/postgres/control_store.hpp"
#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/adapters/postgres/gather.hpp"
#include "coordinator/adapters/postgres/noted_agents.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator::postgres {

/// What renews leases, for the test that pins its plan. Parameters: items, their epochs, their
/// agents, milliseconds.
extern const char* const kRenewLeases;

/// Calls of several agents share transactions (`Gather`): syncs, claims of either kind, results.
/// One thread.
class PostgresWorkStore final : public WorkStore {
 public:
  PostgresWorkStore(Database& database, NotedAgents& noted);

  awaitable<Result<SyncState>> sync(AgentReport report, LeaseTimes times) override;
  awaitable<Result<std::vector<Assignment>>> claim(Claim claim, LeaseTimes times) override;
  awaitable<Status> give_back(std::vector<Lease> leases, std::string why) override;
  awaitable<Result<FinishState>> finish(WorkReport report) override;
  awaitable<Result<SweepState>> sweep(int count, Instant until) override;
  awaitable<Result<ReadyCounts>> count_ready() override;

 private:
  struct Report {
    AgentReport report;
    LeaseTimes times;
  };
  struct ClaimCall {
    Claim claim;
    LeaseTimes times;
  };
  using Assignments = std::vector<Assignment>;

  awaitable<Result<std::vector<SyncState>>> sync_all(std::vector<Report> reports);
  awaitable<Result<std::vector<Assignments>>> claim_all(std::vector<ClaimCall> calls);
  awaitable<Result<std::vector<FinishState>>> finish_all(std::vector<WorkReport> reports);
  awaitable<void> count_attempts();

  Database& database_;
  ClaimHints hints_;
  NotedAgents& noted_;
  ControlClock controls_;
  /// Attempts that agents have finished since the last sweep, which writes them into the agents'
  /// rows: one version of a row a second and not one for each report.
  std::map<std::string, std::int64_t> finished_;
  Gather<Report, SyncState> syncs_;
  Gather<ClaimCall, Assignments> evaluations_;
  Gather<ClaimCall, Assignments> proposals_;
  Gather<WorkReport, FinishState> finishes_;
};

}  // namespace cambrian::coordinator::postgres
