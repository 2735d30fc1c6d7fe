#pragma once

#include "common/base/result.hpp"
#include "coordinator/journal/codec.hpp"
#include "coordinator/ports/import_store.hpp"

namespace cambrian::coordinator::journal {

/// A variant as the log knows it, with what only the archive says of it.
struct ImportedVariant {
  VariantRecord record;
  std::optional<std::int64_t> proposal;  ///< None: the seed.
  std::string token_digest;
  std::int64_t source_tokens = 0;
};

/// A proposal as the search requested it and as it ended.
struct ImportedProposal {
  search::RequestProposal request;
  std::optional<ProposalOutcome> outcome;  ///< None: it was withdrawn.
  std::vector<ProposedVariant> variants;   ///< Those that entered the campaign.
  std::vector<std::string> rejections;
  std::string agent;
};

/// What an archive holds, proven by its log.
struct Imported {
  search::Settings settings;
  search::Started started;
  std::vector<ImportedVariant> variants;
  std::vector<ImportedProposal> proposals;
};

/// Replays the log of an archive and compares everything else with it: what the search derived,
/// the variants, each evaluation that it requested, the state, the winner and the counts. Errors:
/// `invalid_argument` names the first thing that does not fit; also for a campaign that had not
/// ended. Memory and time: twice those of the replay.
Result<Imported> verify(const CampaignArchive& archive);

}  // namespace cambrian::coordinator::journal
