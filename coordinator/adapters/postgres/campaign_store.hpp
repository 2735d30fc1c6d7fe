#pragma once

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/campaign_store.hpp"

namespace cambrian::coordinator::postgres {

class PostgresCampaignStore final : public CampaignStore {
 public:
  explicit PostgresCampaignStore(Database& database) : database_(database) {}

  awaitable<Result<CampaignRecord>> create(CampaignDefinition definition,
                                           Requester requester) override;
  awaitable<Result<CampaignRecord>> get(std::string name) override;
  awaitable<Result<std::vector<CampaignRecord>>> list(CampaignPage page) override;
  awaitable<Result<std::int64_t>> request(std::string name, UserAction action,
                                          Requester requester) override;
  awaitable<Status> hint(std::string name, std::string text, Requester requester) override;
  awaitable<Status> remove(std::string name, Requester requester) override;
  awaitable<Result<EventPage>> read_events(std::string name, std::int64_t after,
                                           int count) override;
  awaitable<Result<std::map<CampaignId, std::int64_t>>> last_sequences() override;

 private:
  Database& database_;
};

class PostgresVariantStore final : public VariantStore {
 public:
  explicit PostgresVariantStore(Database& database) : database_(database) {}

  awaitable<Result<std::vector<VariantRecord>>> list(std::string campaign,
                                                     VariantPage page) override;
  awaitable<Result<VariantRecord>> get(std::string campaign, std::int64_t number) override;
  awaitable<Result<std::vector<VariantRecord>>> lineage(std::string campaign, std::int64_t number,
                                                        int count) override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
