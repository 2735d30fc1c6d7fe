#include "coordinator/adapters/postgres/rungs.hpp"

#include <algorithm>

#include "common/log/log.hpp"
#include "coordinator/adapters/postgres/codec.hpp"

namespace cambrian::coordinator::postgres {
namespace {

/// Of those that were at a rung before, so many are compared with: the latest.
constexpr int kOthersMax = 1'000;

// In the order of the ids, so that two of these never wait for each other in a circle.
constexpr const char* kFindRungs =
    "SELECT l.place, w.campaign_id, w.number, c.is_maximized, c.definition -> 'early_stop',"
    " (SELECT coalesce(jsonb_object_agg(r.rung, r.is_hopeless), '{}') FROM rung r"
    "  WHERE r.campaign_id = w.campaign_id AND r.number = w.number)"
    " FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS l (item, epoch, place)"
    " JOIN work_item w ON w.id = l.item AND w.epoch = l.epoch AND w.state = 'leased'"
    "  AND w.kind = 'evaluation'"
    " JOIN evaluation e ON e.campaign_id = w.campaign_id AND e.number = w.number"
    " JOIN campaign c ON c.id = w.campaign_id"
    " WHERE c.definition ? 'early_stop' AND e.variant > 0 AND NOT e.is_final"
    " AND NOT e.is_confirmation ORDER BY w.id";
constexpr const char* kOthers =
    "SELECT value FROM rung WHERE campaign_id = $1 AND rung = $2 ORDER BY number DESC LIMIT $3";
constexpr const char* kNoteRungs =
    "INSERT INTO rung (campaign_id, rung, number, value, is_hopeless) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT DO NOTHING";

/// A training that has answered at rungs.
struct Training {
  std::size_t call = 0;  ///< Whose it is.
  const Progress* progress = nullptr;
};

std::vector<Training> find_trainings(const std::vector<AgentReport>& reports,
                                     const std::vector<SyncState>& states) {
  std::vector<Training> trainings;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    for (const auto& progress : reports[i].running) {
      const auto& lost = states[i].cancelled;
      if (progress.rungs.empty() || std::ranges::find(lost, progress.lease) != lost.end()) continue;
      trainings.push_back({.call = i, .progress = &progress});
    }
  }
  return trainings;
}

/// Decides about one training at a rung that is new.
bool decide(pqxx::work& transaction, const pqxx::row& row, const search::EarlyStop& rule,
            const RungValue& value) {
  const auto campaign = row[1].as<std::int64_t>();
  const auto number = row[2].as<std::int64_t>();
  std::vector<double> others;
  for (const auto& other :
       execute(transaction, kOthers, pqxx::params{campaign, value.rung, kOthersMax})) {
    others.push_back(other[0].as<double>());
  }
  const auto goal = row[3].as<bool>() ? search::Goal::maximize : search::Goal::minimize;
  const bool is_hopeless = search::is_hopeless(rule, goal, value.value, others);
  execute(transaction, kNoteRungs,
          pqxx::params{campaign, value.rung, number, value.value, is_hopeless});
  if (is_hopeless) {
    log::info("training_found_hopeless", {{"campaign", campaign},
                                          {"evaluation", number},
                                          {"rung", value.rung},
                                          {"others", others.size()}});
  }
  return is_hopeless;
}

}  // namespace

void note_rungs(pqxx::work& transaction, const std::vector<AgentReport>& reports,
                std::vector<SyncState>& states) {
  const auto trainings = find_trainings(reports, states);
  if (trainings.empty()) return;
  std::vector<std::int64_t> items;
  std::vector<std::int64_t> epochs;
  for (const auto& training : trainings) {
    items.push_back(training.progress->lease.item.value);
    epochs.push_back(training.progress->lease.epoch);
  }
  for (const auto& row :
       execute(transaction, kFindRungs, pqxx::params{number_array(items), number_array(epochs)})) {
    const auto& training = trainings[row[0].as<std::size_t>() - 1];
    const auto rule = early_stop_from_json(json_of(row[4]));
    const Json noted = json_of(row[5]);
    bool is_hopeless = false;
    for (const Json& one : noted) is_hopeless = is_hopeless || one.get<bool>();
    for (const auto& value : training.progress->rungs) {
      const bool is_known = static_cast<std::size_t>(value.rung) < rule.rungs.size();
      if (!is_known || noted.contains(std::to_string(value.rung))) continue;
      is_hopeless = decide(transaction, row, rule, value) || is_hopeless;
    }
    if (is_hopeless) states[training.call].stopped.push_back(training.progress->lease);
  }
}

}  // namespace cambrian::coordinator::postgres
