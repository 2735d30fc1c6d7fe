#pragma once

#include "coordinator/adapters/postgres/events.hpp"
#include "coordinator/ports/driver_store.hpp"

namespace cambrian::coordinator::postgres {

/// Carries out the commands of one step in the caller's transaction: rows, events, applied
/// sequence. Errors: `conflict` when the driver's epoch or the applied sequence is another one.
Result<StepState> carry_out(pqxx::work& transaction, const DriverStep& step);

}  // namespace cambrian::coordinator::postgres
