#pragma once

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator::postgres {

class PostgresWorkStore final : public WorkStore {
 public:
  explicit PostgresWorkStore(Database& database) : database_(database) {}

  awaitable<Result<SyncState>> sync(AgentReport report, LeaseTimes times) override;
  awaitable<Result<std::vector<Assignment>>> claim(Claim claim, LeaseTimes times) override;
  awaitable<Status> give_back(std::vector<Lease> leases) override;
  awaitable<Result<FinishState>> finish(WorkReport report) override;
  awaitable<Result<SweepState>> sweep(int count, Instant until) override;
  awaitable<Result<ReadyCounts>> count_ready() override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
