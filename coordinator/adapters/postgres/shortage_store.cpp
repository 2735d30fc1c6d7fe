#include "coordinator/adapters/postgres/shortage_store.hpp"

#include <algorithm>

#include "coordinator/adapters/postgres/events.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// Of each campaign the items that wait longest: what nobody can serve is among them soon.
constexpr const char* kFindShortages =
    "WITH living AS (SELECT kind, name, description FROM agent"
    "  WHERE last_sync_at >= now() - $1 * interval '1 millisecond'"
    "  AND NOT is_draining AND NOT should_drain AND NOT (kind = 'worker'"
    "   AND EXISTS (SELECT 1 FROM quarantine q WHERE q.worker = name))),"
    " need AS (SELECT DISTINCT w.campaign_id, w.kind, w.model, w.runtime, w.sandbox_level, w.gpus"
    "  FROM campaign c CROSS JOIN (VALUES ('evaluation'), ('proposal')) k (kind)"
    "  CROSS JOIN LATERAL (SELECT * FROM work_item i WHERE i.campaign_id = c.id"
    "   AND i.kind = k.kind AND i.state = 'ready'"
    "   AND i.not_before < now() - $2 * interval '1 millisecond' ORDER BY i.id LIMIT 100) w"
    "  WHERE c.state IN ('running', 'draining', 'finalizing'))"
    " SELECT DISTINCT ON (n.campaign_id) n.campaign_id, n.kind, n.model, n.runtime,"
    "  n.sandbox_level, n.gpus, EXISTS (SELECT 1 FROM living a WHERE a.kind ="
    "   CASE n.kind WHEN 'evaluation' THEN 'worker' ELSE 'codegen' END), coalesce((SELECT"
    "   min('worker ' || a.name || ' takes no work: ' || (a.description ->> 'trouble'))"
    "   FROM living a WHERE n.kind = 'evaluation' AND a.kind = 'worker'"
    "    AND a.description ->> 'trouble' <> '' AND a.description -> 'runtimes' ? n.runtime"
    "    AND (a.description ->> 'sandbox_level')::integer >= n.sandbox_level"
    "    AND jsonb_array_length(a.description -> 'gpus') >= n.gpus), '')"
    " FROM need n WHERE NOT EXISTS (SELECT 1 FROM living a"
    "  WHERE coalesce(a.description ->> 'trouble', '') = '' AND CASE n.kind"
    "  WHEN 'evaluation' THEN a.kind = 'worker' AND a.description -> 'runtimes' ? n.runtime"
    "   AND (a.description ->> 'sandbox_level')::integer >= n.sandbox_level"
    "   AND jsonb_array_length(a.description -> 'gpus') >= n.gpus"
    "  ELSE a.kind = 'codegen' AND (n.model = '' OR a.description -> 'models' ? n.model) END)"
    " ORDER BY n.campaign_id, n.kind, n.model";
// By the primary key, backwards over what is open: a few rows for each running campaign.
constexpr const char* kFindAway =
    "SELECT c.id FROM campaign c CROSS JOIN LATERAL (SELECT outcome FROM proposal"
    "  WHERE campaign_id = c.id AND outcome IS NOT NULL ORDER BY number DESC LIMIT 1) p"
    " WHERE c.state = 'running' AND p.outcome = 'infrastructure'";
// Backwards through a log, once for each active campaign when a coordinator starts.
constexpr const char* kNoted =
    "SELECT c.id, e.payload ->> 'reason' FROM campaign c CROSS JOIN LATERAL ("
    "  SELECT type, payload FROM event WHERE campaign_id = c.id"
    "  AND type IN ('work_waiting', 'work_served') ORDER BY sequence DESC LIMIT 1) e"
    " WHERE c.state IN ('running', 'paused', 'draining', 'finalizing')"
    " AND e.type = 'work_waiting'";
constexpr const char* kLastNote =
    "SELECT coalesce(payload ->> 'reason', '') FROM event WHERE campaign_id = $1"
    " AND type IN ('work_waiting', 'work_served') ORDER BY sequence DESC LIMIT 1";

Status note_one(pqxx::work& transaction, CampaignId campaign, const std::string& reason) {
  const auto state = lock_campaign(transaction, campaign);
  if (!state || has_ended(*state) || *state == CampaignState::paused) return {};
  const auto last = transaction.exec(kLastNote, pqxx::params{campaign.value});
  if (reason == (last.empty() ? "" : last[0][0].as<std::string>())) return {};
  StoredEvent event;
  event.type = reason.empty() ? "work_served" : "work_waiting";
  event.message = reason.empty() ? "the campaign no longer waits" : "the campaign waits: " + reason;
  if (!reason.empty()) event.payload["reason"] = reason;
  append_event(transaction, campaign, event);
  return {};
}

}  // namespace

awaitable<Result<std::vector<Shortage>>> PostgresShortageStore::find(milliseconds silence_max,
                                                                     milliseconds patience) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<Shortage>> {
    std::vector<Shortage> shortages;
    for (const auto& row :
         transaction.exec(kFindShortages, pqxx::params{silence_max.count(), patience.count()})) {
      shortages.push_back({.campaign = {row[0].as<std::int64_t>()},
                           .kind = known_word<WorkKind>(row[1].view()),
                           .model = row[2].as<std::string>(),
                           .runtime = row[3].as<std::string>(),
                           .sandbox_level = row[4].as<int>(),
                           .gpus = row[5].as<int>(),
                           .has_agents = row[6].as<bool>(),
                           .trouble = row[7].as<std::string>()});
    }
    for (const auto& row : transaction.exec(kFindAway)) {
      const CampaignId campaign{row[0].as<std::int64_t>()};
      const auto is_same = [campaign](const Shortage& s) { return s.campaign == campaign; };
      if (std::ranges::any_of(shortages, is_same)) continue;  // Without agents: that is why.
      shortages.push_back({.campaign = campaign,
                           .kind = WorkKind::proposal,
                           .model = {},
                           .runtime = {},
                           .has_agents = true,
                           .is_endpoint_away = true});
    }
    return shortages;
  };
  co_return co_await database_.run(Lane::driver, "shortage_find", body);
}

awaitable<Result<std::map<CampaignId, std::string>>> PostgresShortageStore::noted() {
  auto body = [](pqxx::work& transaction) -> Result<std::map<CampaignId, std::string>> {
    std::map<CampaignId, std::string> noted;
    for (const auto& row : transaction.exec(kNoted)) {
      noted[CampaignId{row[0].as<std::int64_t>()}] = row[1].as<std::string>();
    }
    return noted;
  };
  co_return co_await database_.run(Lane::driver, "shortage_noted", body);
}

awaitable<Status> PostgresShortageStore::note(CampaignId campaign, std::string reason) {
  auto body = [campaign, reason = std::move(reason)](pqxx::work& transaction) {
    return note_one(transaction, campaign, reason);
  };
  co_return co_await database_.run(Lane::driver, "shortage_note", std::move(body));
}

}  // namespace cambrian::coordinator::postgres
