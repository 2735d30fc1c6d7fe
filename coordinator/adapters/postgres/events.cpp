#include "coordinator/adapters/postgres/events.hpp"

#include <cstdio>

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kNextSequence =
    "UPDATE campaign SET last_sequence = last_sequence + 1 WHERE id = $1 RETURNING last_sequence";
constexpr const char* kInsertEvent =
    "INSERT INTO event (campaign_id, sequence, type, is_input, variant, message, payload)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)";

}  // namespace

void insert_event(pqxx::work& transaction, CampaignId campaign, std::int64_t sequence,
                  const StoredEvent& event) {
  execute(transaction, kInsertEvent,
          pqxx::params{campaign.value, sequence, event.type, event.is_input, event.variant,
                       event.message, event.payload.dump()});
}

std::int64_t append_event(pqxx::work& transaction, CampaignId campaign, const StoredEvent& event) {
  const auto sequence = execute(transaction, kNextSequence, pqxx::params{campaign.value})
                            .one_row()[0]
                            .as<std::int64_t>();
  insert_event(transaction, campaign, sequence, event);
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
