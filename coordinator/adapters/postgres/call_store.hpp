#pragma once

#include <variant>

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/adapters/postgres/gather.hpp"
#include "coordinator/ports/call_store.hpp"

namespace cambrian::coordinator::postgres {

/// Calls of several agents share transactions (`Gather`). One thread.
class PostgresCallStore final : public CallStore {
 public:
  explicit PostgresCallStore(Database& database);

  awaitable<Result<CallGrant>> begin(CallBegin begin) override;
  awaitable<Status> end(CallEnd end) override;

 private:
  awaitable<Result<std::vector<CallGrant>>> begin_all(std::vector<CallBegin> begins);
  awaitable<Result<std::vector<std::monostate>>> end_all(std::vector<CallEnd> ends);

  Database& database_;
  Gather<CallBegin, CallGrant> begins_;
  Gather<CallEnd, std::monostate> ends_;
};

}  // namespace cambrian::coordinator::postgres
