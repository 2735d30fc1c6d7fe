#pragma once

#include <map>
#include <string>

#include "coordinator/adapters/postgres/item_end.hpp"

/// The calls of a model that agents report: rows of `model_call`, written many at once.
namespace cambrian::coordinator::postgres {

/// Adds the calls of one attempt to `rows`.
void add_calls(Json& rows, const LockedItem& item, std::int64_t epoch,
               const std::vector<ModelCall>& calls, bool is_counted);

void insert_calls(pqxx::work& transaction, const Json& rows);

/// Tokens that were reserved and not used, by group of limits. A bucket that overflows by it is put
/// right when it is read.
void give_back_tokens(pqxx::work& transaction, const std::map<std::string, std::int64_t>& unused);

}  // namespace cambrian::coordinator::postgres
