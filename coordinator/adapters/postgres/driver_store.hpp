#pragma once

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/driver_store.hpp"

namespace cambrian::coordinator::postgres {

class PostgresDriverStore final : public DriverStore {
 public:
  explicit PostgresDriverStore(Database& database) : database_(database) {}

  awaitable<Result<std::vector<DriverLease>>> acquire(std::string driver, milliseconds duration,
                                                      int count) override;
  awaitable<Result<std::vector<RenewedDriver>>> renew(std::vector<DriverLease> leases,
                                                      milliseconds duration) override;
  awaitable<Result<DrivenCampaign>> load(CampaignId campaign) override;
  awaitable<Result<std::vector<Input>>> read_inputs(CampaignId campaign, std::int64_t after,
                                                    std::int64_t until, int count) override;
  awaitable<Result<std::vector<Input>>> next_inputs(DriverLease lease, std::int64_t applied,
                                                    int count) override;
  awaitable<Result<StepState>> commit(DriverStep step) override;
  awaitable<Status> append_time(DriverLease lease, std::int64_t running_ms) override;
  awaitable<Status> give_up(std::vector<DriverLease> leases) override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
