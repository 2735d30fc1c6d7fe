#pragma once

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/import_store.hpp"

namespace cambrian::coordinator::postgres {

class PostgresImportStore final : public ImportStore {
 public:
  explicit PostgresImportStore(Database& database) : database_(database) {}

  awaitable<Result<CampaignRecord>> import_campaign(CampaignDefinition definition,
                                                    CampaignArchive archive,
                                                    std::string request_id) override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
