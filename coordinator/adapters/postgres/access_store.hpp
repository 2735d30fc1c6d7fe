#pragma once

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/access_api.hpp"

namespace cambrian::coordinator::postgres {

class PostgresTokenStore final : public TokenStore {
 public:
  explicit PostgresTokenStore(Database& database) : database_(database) {}

  awaitable<Result<TokenRecord>> create(TokenDefinition definition) override;
  awaitable<Result<std::vector<TokenRecord>>> list() override;
  awaitable<Result<std::vector<TokenRecord>>> revoke(std::string id_or_name) override;
  awaitable<Status> note_used(std::vector<std::string> ids) override;

 private:
  Database& database_;
};

class PostgresAuditStore final : public AuditStore {
 public:
  explicit PostgresAuditStore(Database& database) : database_(database) {}

  awaitable<Result<std::int64_t>> add(AuditEntry entry, std::string outcome) override;
  awaitable<Status> set_outcome(std::int64_t id, std::string outcome) override;
  awaitable<Result<std::vector<AuditRecord>>> list(std::int64_t before, int count) override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
