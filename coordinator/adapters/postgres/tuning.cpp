#include "coordinator/adapters/postgres/tuning.hpp"

#include "common/digest/sha256.hpp"
#include "common/log/log.hpp"
#include "common/source/constants.hpp"
#include "common/source/token_digest.hpp"
#include "coordinator/adapters/postgres/content_store.hpp"
#include "coordinator/adapters/postgres/item_end.hpp"

namespace cambrian::coordinator::postgres {
namespace {

using Sources = std::map<std::string, std::string>;

constexpr const char* kReadFiles =
    "SELECT files FROM variant WHERE campaign_id = $1 AND number = $2";

Result<Sources> read_sources(pqxx::work& transaction, CampaignId campaign,
                             search::VariantNumber variant) {
  const auto row =
      execute(transaction, kReadFiles, pqxx::params{campaign.value, variant.value}).one_row();
  Sources sources;
  for (const auto& file : files_from_json(json_of(row[0]))) {
    CAMBRIAN_TRY(sources[file.path], read_blob(transaction, file.sha256));
  }
  return sources;
}

/// `constants 0.5 2 to 0.61 1.7`, for people.
std::string rationale_of(const std::vector<source::Constant>& before,
                         const std::vector<double>& after) {
  std::string text = "constants";
  for (const auto& constant : before) text += " " + short_number(constant.value);
  text += " to";
  for (const double value : after) text += " " + short_number(value);
  return text;
}

Result<ProposedVariant> write_variant(pqxx::work& transaction, CampaignId campaign,
                                      source::Language language,
                                      const search::RequestProposal& command) {
  CAMBRIAN_TRY(const auto sources, read_sources(transaction, campaign, command.parents.front()));
  CAMBRIAN_TRY(const auto tuned, source::replace_constants(sources, language, command.constants));
  ProposedVariant variant;
  for (const auto& [path, content] : tuned) {
    variant.files.push_back({.path = path, .sha256 = sha256_hex(content)});
    if (content != sources.at(path)) put_blob(transaction, variant.files.back().sha256, content);
  }
  const auto tokens = source::token_digest(tuned, language);
  variant.token_digest = tokens.digest;
  variant.source_tokens = tokens.count;
  variant.rationale = rationale_of(source::find_constants(sources, language), command.constants);
  return variant;
}

}  // namespace

StoredEvent find_constants(pqxx::work& transaction, CampaignId campaign,
                           const CampaignDefinition& definition,
                           const search::FindConstants& command) {
  search::ConstantsFound found{.variant = command.variant, .constants = {}};
  const auto sources = read_sources(transaction, campaign, command.variant);
  if (sources) {
    const auto language = source::language_from_name(definition.language);
    for (const auto& constant : source::find_constants(*sources, language)) {
      found.constants.push_back(
          {constant.value, constant.low, constant.high, constant.is_logarithmic});
    }
  } else {
    log::warn("constants_not_found", {{"campaign_id", campaign.value},
                                      {"variant", command.variant.value},
                                      {"reason", sources.error().message}});
  }
  auto event = make_input(found, "variant " + std::to_string(command.variant.value) + " has " +
                                     std::to_string(found.constants.size()) + " constants to tune");
  event.variant = command.variant.value;
  return event;
}

StoredEvent make_tuned(pqxx::work& transaction, CampaignId campaign,
                       const CampaignDefinition& definition,
                       const search::RequestProposal& command) {
  const auto language = source::language_from_name(definition.language);
  auto variant = write_variant(transaction, campaign, language, command);
  ProposalResult result;
  if (variant) {
    result.variants.push_back(std::move(*variant));
  } else {
    result.outcome = ProposalOutcome::rejected;
    result.rejections = {variant.error().message};
  }
  return store_proposal(transaction, campaign, command.proposal, result, "");
}

}  // namespace cambrian::coordinator::postgres
