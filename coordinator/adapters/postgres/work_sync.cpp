#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "coordinator/adapters/postgres/item_end.hpp"
#include "coordinator/adapters/postgres/rungs.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"

namespace cambrian::coordinator::postgres {

// One look by its key for each lease, in the order of the ids. As a join the planner would walk all
// leased items for each lease of the call where the statistics know of few that are leased.
const char* const kRenewLeases =
    "WITH held AS MATERIALIZED (SELECT w.id FROM ("
    "  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS l (id, epoch, agent_id)"
    "  ORDER BY id) l CROSS JOIN LATERAL (SELECT i.id FROM work_item i WHERE i.id = l.id"
    "  AND i.epoch = l.epoch AND i.agent_id = l.agent_id AND i.state = 'leased' FOR UPDATE) w)"
    " UPDATE work_item w SET renewed_at = now(),"
    " lease_expires_at = now() + $4 * interval '1 millisecond' FROM held WHERE w.id = held.id"
    " RETURNING w.id, w.epoch, w.agent_id";

namespace {

// Whose row says all this, and was written a moment ago. A row that is written at each call leaves
// a dead version behind each time, and while an old transaction keeps VACUUM from its work, every
// look at the row walks all of them.
constexpr const char* kFindNoted =
    "SELECT a.agent_id, a.should_drain, a.kind = 'worker'"
    " AND EXISTS (SELECT 1 FROM quarantine q WHERE q.worker = a.name)"
    " FROM json_to_recordset($1::json) AS r (agent_id text,"
    "  name text, kind text, description jsonb, running jsonb, is_draining boolean)"
    " JOIN agent a USING (agent_id) WHERE a.name = r.name AND a.kind = r.kind"
    " AND a.description = r.description AND a.running = r.running"
    " AND a.is_draining = r.is_draining"
    " AND a.last_sync_at > now() - $2 * interval '1 millisecond'";
// In the order of the ids: two of these never wait for each other in a circle.
constexpr const char* kNoteAgents =
    "INSERT INTO agent (agent_id, name, kind, description, running, is_draining)"
    " SELECT agent_id, name, kind, description, running, is_draining"
    " FROM json_to_recordset($1::json) AS r (agent_id text, name text, kind text,"
    "  description jsonb, running jsonb, is_draining boolean) ORDER BY agent_id"
    " ON CONFLICT (agent_id) DO UPDATE SET name = excluded.name, kind = excluded.kind,"
    " description = excluded.description, running = excluded.running,"
    " is_draining = excluded.is_draining, last_sync_at = now()"
    " RETURNING agent_id, should_drain, kind = 'worker'"
    " AND EXISTS (SELECT 1 FROM quarantine q WHERE q.worker = agent.name)";
// In the order of the ids, as heartbeats note them.
constexpr const char* kCountAttempts =
    "UPDATE agent a SET attempts_finished = a.attempts_finished + s.finished FROM ("
    "  SELECT o.agent_id, g.finished FROM agent o"
    "  JOIN unnest($1::text[], $2::bigint[]) AS g (agent_id, finished) USING (agent_id)"
    "  ORDER BY o.agent_id FOR NO KEY UPDATE OF o) s WHERE a.agent_id = s.agent_id";
constexpr const char* kFindExpired =
    "SELECT w.id, w.epoch, w.campaign_id FROM work_item w WHERE w.state = 'leased'"
    " AND (w.lease_expires_at < now() OR w.attempt_deadline < now())"
    " AND now() < timestamptz 'epoch' + $2 * interval '1 microsecond' ORDER BY w.id LIMIT $1";
constexpr const char* kClassifyExpired =
    "SELECT w.attempt_deadline < now(), w.lease_expires_at < now(),"
    " coalesce(a.last_sync_at > w.renewed_at, false)"
    " FROM work_item w LEFT JOIN agent a ON a.agent_id = w.agent_id"
    " WHERE w.id = $1 AND w.epoch = $2 AND w.state = 'leased'";
// Heartbeats do not wait for the disk. A crash of the server may take back those of its last
// second, and leases live for many.
constexpr const char* kDoNotWaitForDisk = "SET LOCAL synchronous_commit = off";
// Steps and reports hold a campaign for milliseconds: whoever holds it for longer is not waited
// for.
constexpr const char* kWaitBriefly = "SET LOCAL lock_timeout = 500";
/// So many held campaigns end a sweep: it must not last.
constexpr std::size_t kHeldMax = 4;
// Of attempts that were cancelled, and whose agents had time enough to report what they took.
constexpr const char* kFindForgotten =
    "SELECT DISTINCT o.item_id, o.epoch FROM open_call o JOIN attempt a USING (item_id, epoch)"
    " WHERE a.ended_at < now() - interval '10 minutes' ORDER BY o.item_id, o.epoch LIMIT $1";
// Not what is no checkpoint: nobody's contents may go because a worker named them.
constexpr const char* kNoteCheckpoint =
    "UPDATE work_item SET checkpoint = $2 WHERE id = $1 AND kind = 'evaluation'"
    " AND state = 'ready' AND EXISTS (SELECT 1 FROM blob WHERE sha256 = $2 AND is_checkpoint)";
constexpr const char* kNow = "SELECT (extract(epoch FROM now()) * 1000000)::bigint";
constexpr const char* kCountReady =
    "SELECT kind, count(*) FROM (SELECT w.kind FROM work_item w"
    " JOIN campaign c ON c.id = w.campaign_id WHERE w.state = 'ready' AND w.not_before <= now()"
    " AND c.state IN ('running', 'draining', 'finalizing')"
    " AND c.stop_sequence <= c.applied_sequence LIMIT 1000) ready GROUP BY kind";

/// One statement for all leases of all calls. Leaves with each call those that it has lost.
void renew(pqxx::work& transaction, const std::vector<AgentReport>& reports, milliseconds lease,
           std::vector<SyncState>& states) {
  std::vector<std::int64_t> items;
  std::vector<std::int64_t> epochs;
  std::vector<std::string> agents;
  for (const auto& report : reports) {
    for (const auto& progress : report.running) {
      items.push_back(progress.lease.item.value);
      epochs.push_back(progress.lease.epoch);
      agents.push_back(report.agent.agent_id);
    }
  }
  if (items.empty()) return;
  std::set<std::pair<Lease, std::string>> renewed;
  for (const auto& row : execute(transaction, kRenewLeases,
                                 pqxx::params{number_array(items), number_array(epochs),
                                              text_array(agents), lease.count()})) {
    renewed.insert(
        {{ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()}, row[2].as<std::string>()});
  }
  for (std::size_t i = 0; i < reports.size(); ++i) {
    for (const auto& progress : reports[i].running) {
      if (renewed.contains({progress.lease, reports[i].agent.agent_id})) continue;
      states[i].cancelled.push_back(progress.lease);
    }
  }
}

/// A heartbeat that says nothing new is written once in this share of a lease, and at least so
/// often: who was not heard of for a minute counts as away.
constexpr int kNotesPerLease = 12;
constexpr milliseconds kNoteIntervalMax{5'000};

milliseconds note_interval(milliseconds lease) {
  return std::min(lease / kNotesPerLease, kNoteIntervalMax);
}

/// Two statements for all calls. Of several calls of one agent the last one is noted.
void note_agents(pqxx::work& transaction, const std::vector<AgentReport>& reports,
                 milliseconds lease, std::vector<SyncState>& states) {
  std::map<std::string, const AgentReport*> latest;
  for (const auto& report : reports) latest[report.agent.agent_id] = &report;
  Json rows = Json::array();
  for (const auto& [id, report] : latest) {
    rows.push_back({{"agent_id", id},
                    {"name", report->agent.name},
                    {"kind", word(report->agent.kind)},
                    {"description", to_json(report->agent)},
                    {"running", to_json(report->running)},
                    {"is_draining", report->is_draining}});
  }
  struct Noted {
    bool should_drain = false;
    bool is_quarantined = false;
  };
  std::map<std::string, Noted> noted;
  const auto interval = note_interval(lease);
  for (const auto& row :
       execute(transaction, kFindNoted, pqxx::params{rows.dump(), interval.count()})) {
    noted[row[0].as<std::string>()] = {row[1].as<bool>(), row[2].as<bool>()};
  }
  std::erase_if(rows.get_ref<Json::array_t&>(), [&noted](const Json& row) {
    return noted.contains(row["agent_id"].get_ref<const std::string&>());
  });
  if (!rows.empty()) {
    for (const auto& row : execute(transaction, kNoteAgents, pqxx::params{rows.dump()})) {
      noted[row[0].as<std::string>()] = {row[1].as<bool>(), row[2].as<bool>()};
    }
  }
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const auto& one = noted.at(reports[i].agent.agent_id);
    states[i].should_drain = one.should_drain;
    states[i].is_quarantined = one.is_quarantined;
  }
}

std::optional<EndedAttempt> release(pqxx::work& transaction, const AgentReport& report,
                                    const Release& release) {
  auto item = lock_item(transaction, release.lease.item);
  if (!item || !item->is_leased_as(release.lease, report.agent.agent_id)) return std::nullopt;
  const auto end =
      release.reason == ReleaseReason::unable ? AttemptEnd::unable : AttemptEnd::released;
  end_attempt(transaction, *item, end, "handed back by " + report.agent.name);
  if (!release.checkpoint.empty()) {
    execute(transaction, kNoteCheckpoint, pqxx::params{item->id.value, release.checkpoint});
  }
  return EndedAttempt{item->kind, word_of(end)};
}

struct Expired {
  EndedAttempt attempt;
  AfterEnd after = AfterEnd::ready;
  CampaignId campaign;
};

struct Found {
  std::vector<std::pair<Lease, CampaignId>> leases;
  Instant now;
};

/// Ends one expired lease if it is still expired. Empty when somebody else was faster.
std::optional<Expired> end_expired(pqxx::work& transaction, const Lease& lease) {
  transaction.exec(kWaitBriefly);
  auto item = lock_item(transaction, lease.item);
  if (!item) return std::nullopt;
  const auto rows =
      execute(transaction, kClassifyExpired, pqxx::params{lease.item.value, lease.epoch});
  if (rows.empty()) return std::nullopt;
  const bool is_overrun = rows[0][0].as<bool>();
  const bool is_expired = rows[0][1].as<bool>();
  const bool is_agent_alive = rows[0][2].as<bool>();
  if (!is_overrun && !is_expired) return std::nullopt;
  auto end = is_agent_alive ? AttemptEnd::dropped : AttemptEnd::lost;
  if (!is_expired) end = AttemptEnd::overrun;
  const auto after = end_attempt(transaction, *item, end, "lease ended without a report");
  return Expired{{item->kind, word_of(end)}, after, item->campaign};
}

/// The agent will not report: what it may have spent is charged.
Status charge_forgotten(pqxx::work& transaction, int count) {
  transaction.exec(kWaitBriefly);
  for (const auto& row : execute(transaction, kFindForgotten, pqxx::params{count})) {
    const auto item = lock_item(transaction, ItemId{row[0].as<std::int64_t>()});
    if (!item) continue;
    const auto cost = take_open_calls(transaction, *item, row[1].as<std::int64_t>());
    charge(transaction, *item, cost, "cancelled", "");
  }
  return {};
}

}  // namespace

awaitable<Result<std::vector<SyncState>>> PostgresWorkStore::sync_all(std::vector<Report> calls) {
  std::vector<AgentReport> reports;
  for (auto& call : calls) reports.push_back(std::move(call.report));
  auto body = [reports = std::move(reports), times = calls.front().times](
                  pqxx::work& transaction) -> Result<std::vector<SyncState>> {
    std::vector<SyncState> states(reports.size());
    const auto hands_back = [](const AgentReport& report) { return !report.released.empty(); };
    if (std::ranges::none_of(reports, hands_back)) transaction.exec(kDoNotWaitForDisk);
    // Locks are taken in the order in which a report takes them: campaigns, items, agents.
    for (std::size_t i = 0; i < reports.size(); ++i) {
      for (const auto& one : reports[i].released) {
        if (auto ended = release(transaction, reports[i], one)) {
          states[i].released.push_back(std::move(*ended));
        }
      }
    }
    renew(transaction, reports, times.lease, states);
    note_rungs(transaction, reports, states);
    note_agents(transaction, reports, times.lease, states);
    return states;
  };
  co_return co_await database_.run(Lane::agent, "sync", std::move(body));
}

awaitable<Result<SyncState>> PostgresWorkStore::sync(AgentReport report, LeaseTimes times) {
  const bool is_idle = report.running.empty() && report.released.empty();
  if (is_idle) {
    if (auto known = noted_.find(report, NotedAgents::Clock::now())) co_return std::move(*known);
    auto state = co_await syncs_.ask({.report = report, .times = times});
    if (state) noted_.note(report, *state, NotedAgents::Clock::now() + note_interval(times.lease));
    co_return state;
  }
  noted_.forget(report.agent.agent_id);
  if (report.released.empty()) {
    co_return co_await syncs_.ask({.report = std::move(report), .times = times});
  }
  // Takes locks of campaigns, which heartbeats do not wait for.
  std::vector<Report> one;
  one.push_back({.report = std::move(report), .times = times});
  CAMBRIAN_CO_TRY(auto states, co_await sync_all(std::move(one)));
  co_return std::move(states.front());
}

awaitable<Status> PostgresWorkStore::give_back(std::vector<Lease> leases, std::string why) {
  auto body = [leases = std::move(leases),
               why = std::move(why)](pqxx::work& transaction) -> Status {
    for (const auto& lease : leases) {
      auto item = lock_item(transaction, lease.item);
      if (!item || item->state != "leased" || item->epoch != lease.epoch) continue;
      end_attempt(transaction, *item, AttemptEnd::released, why);
    }
    return {};
  };
  co_return co_await database_.run(Lane::agent, "give_back", std::move(body));
}

awaitable<void> PostgresWorkStore::count_attempts() {
  const auto finished = std::exchange(finished_, {});
  if (finished.empty()) co_return;
  std::vector<std::string> agents;
  std::vector<std::int64_t> counts;
  for (const auto& [agent, count] : finished) {
    agents.push_back(agent);
    counts.push_back(count);
  }
  auto body = [agents = text_array(agents),
               counts = number_array(counts)](pqxx::work& transaction) -> Status {
    execute(transaction, kCountAttempts, pqxx::params{agents, counts});
    return {};
  };
  const auto status =
      co_await database_.run(Lane::agent, "count_attempts", std::move(body), InDoubt::report);
  if (status || status.error().code == Errc::outcome_unknown) co_return;
  for (const auto& [agent, count] : finished) finished_[agent] += count;
}

awaitable<Result<SweepState>> PostgresWorkStore::sweep(int count, Instant until) {
  co_await count_attempts();
  const std::int64_t until_us = until.time_since_epoch().count();
  auto find = [count, until_us](pqxx::work& transaction) -> Result<Found> {
    Found found{.leases = {}, .now = instant_of(execute(transaction, kNow).one_row()[0])};
    for (const auto& row : execute(transaction, kFindExpired, pqxx::params{count, until_us})) {
      found.leases.push_back({{ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()},
                              CampaignId{row[2].as<std::int64_t>()}});
    }
    return found;
  };
  CAMBRIAN_CO_TRY(const auto found, co_await database_.run(Lane::agent, "sweep_find", find));
  SweepState state;
  state.now = found.now;
  // One short transaction each: a held lock on one campaign does not stop the others' recovery.
  std::set<CampaignId> held;
  for (const auto& [lease, campaign] : found.leases) {
    if (held.contains(campaign)) continue;
    auto end_one = [lease](pqxx::work& transaction) -> Result<std::optional<Expired>> {
      return end_expired(transaction, lease);
    };
    auto result = co_await database_.run(Lane::agent, "sweep_end", end_one);
    if (!result && result.error().code == Errc::deadline_exceeded) {
      // Its leases come with the next sweep.
      held.insert(campaign);
      if (held.size() < kHeldMax) continue;
      break;
    }
    CAMBRIAN_CO_TRY(auto ended, std::move(result));
    if (!ended) continue;
    state.ended.push_back(std::move(ended->attempt));
    if (ended->after == AfterEnd::poisoned) ++state.poisoned;
    if (ended->after != AfterEnd::ready) state.campaigns.push_back(ended->campaign);
  }
  auto forgotten = [count](pqxx::work& transaction) {
    return charge_forgotten(transaction, count);
  };
  // What fails is counted there and comes with the next sweep: the ended leases must be told.
  (void)co_await database_.run(Lane::agent, "sweep_calls", std::move(forgotten));
  co_return state;
}

awaitable<Result<ReadyCounts>> PostgresWorkStore::count_ready() {
  auto body = [](pqxx::work& transaction) -> Result<ReadyCounts> {
    ReadyCounts counts;
    for (const auto& row : execute(transaction, kCountReady)) {
      const bool is_evaluation = row[0].view() == "evaluation";
      (is_evaluation ? counts.evaluations : counts.proposals) = row[1].as<int>();
    }
    return counts;
  };
  co_return co_await database_.run(Lane::claim, "count_ready", body);
}

}  // namespace cambrian::coordinator::postgres
