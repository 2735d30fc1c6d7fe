#pragma once

#include "coordinator/adapters/postgres/events.hpp"
#include "coordinator/ports/driver_store.hpp"

namespace cambrian::coordinator::postgres {

/// What the driver has in memory is not what is stored: it loads again.
Error applied_differs(const pqxx::field& applied);

/// Carries out the commands of one step in the caller's transaction: rows, events, applied
/// sequence. Errors: `conflict` when the driver's epoch is another one, `outcome_unknown` when the
/// applied sequence is.
Result<StepState> carry_out(pqxx::work& transaction, const DriverStep& step);

}  // namespace cambrian::coordinator::postgres
