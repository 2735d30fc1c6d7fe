#pragma once

#include "coordinator/adapters/postgres/codec.hpp"

namespace cambrian::coordinator::postgres {

/// Locks the campaign's row until the commit. Empty when the campaign is gone.
std::optional<CampaignState> lock_campaign(pqxx::work& transaction, CampaignId campaign);

/// An event with its place in the log of a campaign.
struct LoggedEvent {
  CampaignId campaign;
  std::int64_t sequence = 0;
  StoredEvent event;
};

/// Writes events under sequences that the caller owns: it holds the campaigns' row locks and stores
/// their last sequences in the same transaction.
void insert_events(pqxx::work& transaction, const std::vector<LoggedEvent>& events);

/// Takes the next sequence of the campaign and writes the event. The row lock on the campaign,
/// which lasts until the commit, makes the sequence free of gaps.
std::int64_t append_event(pqxx::work& transaction, CampaignId campaign, const StoredEvent& event);

/// An input of the search with its line for people.
StoredEvent make_input(const search::Event& event, std::string message);

/// A number for people: at most six significant digits.
std::string short_number(double value);

}  // namespace cambrian::coordinator::postgres
