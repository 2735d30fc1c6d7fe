#include "coordinator/adapters/postgres/events.hpp"

#include <cstdio>

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kLockCampaign = "SELECT state FROM campaign WHERE id = $1 FOR NO KEY UPDATE";
constexpr const char* kNextSequence =
    "UPDATE campaign SET last_sequence = last_sequence + 1 WHERE id = $1 RETURNING last_sequence";
constexpr const char* kInsertEvents =
    "INSERT INTO event (campaign_id, sequence, type, is_input, variant, message, payload)"
    " SELECT r.* FROM json_to_recordset($1::json) AS r (campaign bigint, sequence bigint,"
    " type text, is_input boolean, variant bigint, message text, payload jsonb)";

}  // namespace

std::optional<CampaignState> lock_campaign(pqxx::work& transaction, CampaignId campaign) {
  const auto rows = execute(transaction, kLockCampaign, pqxx::params{campaign.value});
  if (rows.empty()) return std::nullopt;
  return known_word<CampaignState>(rows[0][0].view());
}

void insert_events(pqxx::work& transaction, const std::vector<LoggedEvent>& events) {
  if (events.empty()) return;
  Json rows = Json::array();
  for (const auto& [campaign, sequence, event] : events) {
    rows.push_back({{"campaign", campaign.value},
                    {"sequence", sequence},
                    {"type", event.type},
                    {"is_input", event.is_input},
                    {"variant", journal::optional_json(event.variant)},
                    {"message", event.message},
                    {"payload", event.payload}});
  }
  execute(transaction, kInsertEvents, pqxx::params{rows.dump()});
}

std::int64_t append_event(pqxx::work& transaction, CampaignId campaign, const StoredEvent& event) {
  const auto sequence = execute(transaction, kNextSequence, pqxx::params{campaign.value})
                            .one_row()[0]
                            .as<std::int64_t>();
  insert_events(transaction, {{campaign, sequence, event}});
  return sequence;
}

StoredEvent make_input(const search::Event& event, std::string message) {
  return {.type = type_of(event),
          .is_input = true,
          .variant = std::nullopt,
          .message = std::move(message),
          .payload = to_json(event)};
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

}  // namespace cambrian::coordinator::postgres
