#pragma once

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/call_store.hpp"

namespace cambrian::coordinator::postgres {

class PostgresCallStore final : public CallStore {
 public:
  explicit PostgresCallStore(Database& database) : database_(database) {}

  awaitable<Result<CallGrant>> begin(CallBegin begin) override;
  awaitable<Status> end(CallEnd end) override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
