#pragma once

#include <vector>

#include "coordinator/adapters/postgres/session.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator::postgres {

/// Notes what trainings are worth at rungs where nobody has noted it before, decides who is ended
/// there, and leaves with each call the leases that are to stop early: those of now and, should the
/// answer not have arrived, of before. Costs nothing where no report has rungs. `states` belong to
/// the reports and have the leases that are lost already.
void note_rungs(pqxx::work& transaction, const std::vector<AgentReport>& reports,
                std::vector<SyncState>& states);

}  // namespace cambrian::coordinator::postgres
