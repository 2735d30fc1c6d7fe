#pragma once

#include "coordinator/adapters/postgres/item_end.hpp"
#include "coordinator/ports/work_store.hpp"

/// The results that count, many in one transaction: what a campaign gets most of. Everything else
/// that a report may be goes the way of `item_end.hpp`, one by one.
namespace cambrian::coordinator::postgres {

/// Locks the campaigns of all reports, then their items, both in the order of their ids, so that
/// two batches never wait for each other in a circle. Stores the results whose leases hold, with
/// their events, and gives their states; the others stay empty.
std::vector<std::optional<FinishState>> store_results(pqxx::work& transaction,
                                                      const std::vector<WorkReport>& reports);

/// True where the worker failed and not the candidate.
bool is_infrastructure(const WorkReport& report);

}  // namespace cambrian::coordinator::postgres
