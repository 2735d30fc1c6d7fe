#pragma once

#include "coordinator/adapters/postgres/item_end.hpp"

/// The calls of a model that agents report: rows of `model_call`, written many at once.
namespace cambrian::coordinator::postgres {

/// Adds the calls of one attempt to `rows`.
void add_calls(Json& rows, const LockedItem& item, std::int64_t epoch,
               const std::vector<ModelCall>& calls, bool is_counted);

void insert_calls(pqxx::work& transaction, const Json& rows);

}  // namespace cambrian::coordinator::postgres
