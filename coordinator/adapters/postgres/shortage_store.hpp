#pragma once

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/shortage_store.hpp"

namespace cambrian::coordinator::postgres {

class PostgresShortageStore final : public ShortageStore {
 public:
  explicit PostgresShortageStore(Database& database) : database_(database) {}

  awaitable<Result<std::vector<Shortage>>> find(milliseconds silence_max,
                                                milliseconds patience) override;
  awaitable<Result<std::map<CampaignId, std::string>>> noted() override;
  awaitable<Status> note(CampaignId campaign, std::string reason) override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
