#pragma once

#include "coordinator/adapters/postgres/codec.hpp"

/// The operator `tune`, which needs no agent: the coordinator reads the constants of a variant and
/// writes the variants of its points itself. Both give the event to be appended to the log, in the
/// transaction of the step that asked. A content that cannot be read gives none of either.
namespace cambrian::coordinator::postgres {

/// ConstantsFound.
StoredEvent find_constants(pqxx::work& transaction, CampaignId campaign,
                           const CampaignDefinition& definition,
                           const search::FindConstants& command);

/// ProposalFinished: stores the sources and the result of the proposal, and counts it.
StoredEvent make_tuned(pqxx::work& transaction, CampaignId campaign,
                       const CampaignDefinition& definition,
                       const search::RequestProposal& command);

}  // namespace cambrian::coordinator::postgres
