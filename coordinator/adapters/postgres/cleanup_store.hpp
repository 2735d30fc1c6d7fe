#pragma once

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/cleanup_store.hpp"

namespace cambrian::coordinator::postgres {

class PostgresCleanupStore final : public CleanupStore {
 public:
  explicit PostgresCleanupStore(Database& database) : database_(database) {}

  awaitable<Result<bool>> purge(int count) override;
  awaitable<Result<bool>> compact(milliseconds age, int count) override;
  awaitable<Status> forget() override;
  awaitable<Result<std::int64_t>> disown_results() override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
