#pragma once

#include <nlohmann/json.hpp>
#include <pqxx/pqxx>

#include "coordinator/adapters/postgres/session.hpp"
#include "coordinator/journal/codec.hpp"
#include "coordinator/ports/campaign.hpp"
#include "coordinator/ports/words.hpp"

/// Values as JSON and as rows. Reading trusts what we wrote; anything else throws and becomes an
/// `internal` error of the call.
namespace cambrian::coordinator::postgres {

using journal::Json;

/// An event of the log as it is stored.
struct StoredEvent {
  std::string type;
  bool is_input = false;
  std::optional<std::int64_t> variant;
  std::string message;
  Json payload = Json::object();
};

search::EarlyStop early_stop_from_json(const Json& json);

Json to_json(const CampaignDefinition& definition);
CampaignDefinition definition_from_json(const Json& json);

Json to_json(const std::vector<SourceFile>& files);
std::vector<SourceFile> files_from_json(const Json& json);

Json to_json(const AgentDescription& agent);
AgentDescription agent_from_json(const Json& json);
Json to_json(const std::vector<Progress>& running);
std::vector<Progress> progress_from_json(const Json& json);

Json to_json(const std::vector<ProposedVariant>& variants);
std::vector<ProposedVariant> proposed_from_json(const Json& json);

using journal::budget_from_json;
using journal::event_from_json;
using journal::to_json;
using journal::type_of;

/// Arrays for `$n::bigint[]` and `$n::text[]`.
template <class Id>
std::string id_array(const std::vector<Id>& ids) {
  std::string text = "{";
  for (const auto& id : ids) {
    if (text.size() > 1) text += ',';
    text += std::to_string(id.value);
  }
  return text + "}";
}
std::string number_array(const std::vector<std::int64_t>& numbers);
std::string text_array(const std::vector<std::string>& texts);

/// Columns selected as `(extract(epoch FROM x) * 1000000)::bigint`.
Instant instant_of(const pqxx::field& field);
std::optional<Instant> optional_instant_of(const pqxx::field& field);
Json json_of(const pqxx::field& field);
std::uint64_t seed_of(const pqxx::field& field);

template <class T>
std::optional<T> optional_of(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return field.as<T>();
}

}  // namespace cambrian::coordinator::postgres
