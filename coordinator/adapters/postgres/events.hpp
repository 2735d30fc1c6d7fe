#pragma once

#include "coordinator/adapters/postgres/codec.hpp"

namespace cambrian::coordinator::postgres {

/// Writes one event under a sequence that the caller owns: it holds the campaign's row lock and
/// stores the last sequence in the same transaction.
void insert_event(pqxx::work& transaction, CampaignId campaign, std::int64_t sequence,
                  const StoredEvent& event);

/// Takes the next sequence of the campaign and writes the event. The row lock on the campaign,
/// which lasts until the commit, makes the sequence free of gaps.
std::int64_t append_event(pqxx::work& transaction, CampaignId campaign, const StoredEvent& event);

/// An input of the search with its line for people.
StoredEvent make_input(const search::Event& event, std::string message);

/// A number for people: at most six significant digits.
std::string short_number(double value);

}  // namespace cambrian::coordinator::postgres
