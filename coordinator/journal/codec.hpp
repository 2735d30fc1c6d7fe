#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "coordinator/ports/campaign.hpp"
#include "coordinator/ports/words.hpp"
#include "coordinator/search/types.hpp"

/// The log of a campaign as JSON: what docs/events.md promises to users. Doubles read back bit for
/// bit. Reading trusts what we wrote and throws on anything else (nlohmann::json::exception,
/// std::runtime_error); `Replay` turns that into an error.
namespace cambrian::coordinator::journal {

using Json = nlohmann::json;

/// Null stands for none.
template <class T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

template <class T>
std::optional<T> optional_from(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<T>();
}

/// The enumerator of a word that was read. Throws on one that nobody wrote.
template <class Enum>
Enum read_word(const Json& json) {
  const auto value = parse_word<Enum>(json.get_ref<const std::string&>());
  if (!value) throw std::runtime_error("unknown word: " + json.get<std::string>());
  return *value;
}

/// The settings of a campaign, and back. A field that older versions did not write takes its
/// default.
Json to_json(const search::Settings& settings);
search::Settings settings_from_json(const Json& json);
search::Budget budget_from_json(const Json& json);

/// The payload of an input, and back.
Json to_json(const search::Event& event);
search::Event event_from_json(std::string_view type, const Json& json);
std::string type_of(const search::Event& event);
/// True for the type of an input.
bool is_input(std::string_view type);

/// An event that the search made, as far as the search knows it: the stored one has the variant's
/// files and digest besides.
struct Derived {
  std::string type;
  Json payload;
};

/// None for commands that only ask for work.
std::optional<Derived> derived_of(const search::Command& command);
/// The state of a campaign after this command.
CampaignState state_of(const search::SetPhase& command);

}  // namespace cambrian::coordinator::journal
