#include <set>

#include "coordinator/adapters/postgres/item_end.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kNoteAgent =
    "INSERT INTO agent (agent_id, name, kind, description, running, is_draining)"
    " VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, $6)"
    " ON CONFLICT (agent_id) DO UPDATE SET name = excluded.name, kind = excluded.kind,"
    " description = excluded.description, running = excluded.running,"
    " is_draining = excluded.is_draining, last_sync_at = now() RETURNING should_drain";
constexpr const char* kRenew =
    "WITH held AS (SELECT w.id FROM work_item w"
    "  JOIN unnest($2::bigint[], $3::bigint[]) AS l (id, epoch) USING (id, epoch)"
    "  WHERE w.state = 'leased' AND w.agent_id = $1 ORDER BY w.id FOR UPDATE OF w)"
    " UPDATE work_item w SET renewed_at = now(),"
    " lease_expires_at = now() + $4 * interval '1 millisecond' FROM held WHERE w.id = held.id"
    " RETURNING w.id, w.epoch";
constexpr const char* kFindExpired =
    "SELECT w.id, w.epoch, w.campaign_id FROM work_item w WHERE w.state = 'leased'"
    " AND (w.lease_expires_at < now() OR w.attempt_deadline < now())"
    " AND now() < timestamptz 'epoch' + $2 * interval '1 microsecond' ORDER BY w.id LIMIT $1";
constexpr const char* kClassifyExpired =
    "SELECT w.attempt_deadline < now(), w.lease_expires_at < now(),"
    " coalesce(a.last_sync_at > w.renewed_at, false)"
    " FROM work_item w LEFT JOIN agent a ON a.agent_id = w.agent_id"
    " WHERE w.id = $1 AND w.epoch = $2 AND w.state = 'leased'";
// Steps and reports hold a campaign for milliseconds: whoever holds it for longer is not waited
// for.
constexpr const char* kWaitBriefly = "SET LOCAL lock_timeout = 500";
/// So many held campaigns end a sweep: it must not last.
constexpr std::size_t kHeldMax = 4;
// Of attempts that were cancelled, and whose agents had time enough to report what they took.
constexpr const char* kFindForgotten =
    "SELECT DISTINCT o.item_id, o.epoch FROM open_call o JOIN attempt a USING (item_id, epoch)"
    " WHERE a.ended_at < now() - interval '10 minutes' ORDER BY o.item_id, o.epoch LIMIT $1";
constexpr const char* kNow = "SELECT (extract(epoch FROM now()) * 1000000)::bigint";
constexpr const char* kCountReady =
    "SELECT kind, count(*) FROM (SELECT w.kind FROM work_item w"
    " JOIN campaign c ON c.id = w.campaign_id WHERE w.state = 'ready' AND w.not_before <= now()"
    " AND c.state IN ('running', 'draining', 'finalizing')"
    " AND c.stop_sequence <= c.applied_sequence LIMIT 1000) ready GROUP BY kind";

std::string item_array(const std::vector<Lease>& leases) {
  std::vector<std::int64_t> ids;
  for (const auto& lease : leases) ids.push_back(lease.item.value);
  return number_array(ids);
}

std::string epoch_array(const std::vector<Lease>& leases) {
  std::vector<std::int64_t> epochs;
  for (const auto& lease : leases) epochs.push_back(lease.epoch);
  return number_array(epochs);
}

/// One statement for all leases of the call. Returns those that are lost.
std::vector<Lease> renew(pqxx::work& transaction, const AgentReport& report, milliseconds lease) {
  std::vector<Lease> named;
  for (const auto& progress : report.running) named.push_back(progress.lease);
  if (named.empty()) return {};
  std::set<Lease> renewed;
  for (const auto& row :
       transaction.exec(kRenew, pqxx::params{report.agent.agent_id, item_array(named),
                                             epoch_array(named), lease.count()})) {
    renewed.insert({ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()});
  }
  std::erase_if(named, [&](const Lease& one) { return renewed.contains(one); });
  return named;
}

std::optional<EndedAttempt> release(pqxx::work& transaction, const AgentReport& report,
                                    const Release& release) {
  auto item = lock_item(transaction, release.lease.item);
  if (!item || !item->is_leased_as(release.lease, report.agent.agent_id)) return std::nullopt;
  const auto end =
      release.reason == ReleaseReason::unable ? AttemptEnd::unable : AttemptEnd::released;
  end_attempt(transaction, *item, end, "handed back by " + report.agent.name);
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
  const auto rows = transaction.exec(kClassifyExpired, pqxx::params{lease.item.value, lease.epoch});
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
  for (const auto& row : transaction.exec(kFindForgotten, pqxx::params{count})) {
    const auto item = lock_item(transaction, ItemId{row[0].as<std::int64_t>()});
    if (!item) continue;
    const auto cost = take_open_calls(transaction, *item, row[1].as<std::int64_t>());
    charge(transaction, *item, cost, "cancelled", "");
  }
  return {};
}

}  // namespace

awaitable<Result<SyncState>> PostgresWorkStore::sync(AgentReport report, LeaseTimes times) {
  auto body = [report = std::move(report), times](pqxx::work& transaction) -> Result<SyncState> {
    SyncState state;
    const auto& agent = report.agent;
    // Locks are taken in the order in which a report takes them: campaigns, items, the agent.
    for (const auto& one : report.released) {
      if (auto ended = release(transaction, report, one)) {
        state.released.push_back(std::move(*ended));
      }
    }
    state.cancelled = renew(transaction, report, times.lease);
    state.should_drain =
        transaction
            .exec(kNoteAgent,
                  pqxx::params{agent.agent_id, agent.name, word(agent.kind), to_json(agent).dump(),
                               to_json(report.running).dump(), report.is_draining})
            .one_row()[0]
            .as<bool>();
    return state;
  };
  co_return co_await database_.run(Lane::agent, "sync", std::move(body));
}

awaitable<Status> PostgresWorkStore::give_back(std::vector<Lease> leases) {
  auto body = [leases = std::move(leases)](pqxx::work& transaction) -> Status {
    for (const auto& lease : leases) {
      auto item = lock_item(transaction, lease.item);
      if (!item || item->state != "leased" || item->epoch != lease.epoch) continue;
      end_attempt(transaction, *item, AttemptEnd::released, "the call was gone");
    }
    return {};
  };
  co_return co_await database_.run(Lane::agent, "give_back", std::move(body));
}

awaitable<Result<SweepState>> PostgresWorkStore::sweep(int count, Instant until) {
  const std::int64_t until_us = until.time_since_epoch().count();
  auto find = [count, until_us](pqxx::work& transaction) -> Result<Found> {
    Found found{.leases = {}, .now = instant_of(transaction.exec(kNow).one_row()[0])};
    for (const auto& row : transaction.exec(kFindExpired, pqxx::params{count, until_us})) {
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
    auto end_one = [lease = lease](pqxx::work& transaction) -> Result<std::optional<Expired>> {
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
    for (const auto& row : transaction.exec(kCountReady)) {
      const bool is_evaluation = row[0].view() == "evaluation";
      (is_evaluation ? counts.evaluations : counts.proposals) = row[1].as<int>();
    }
    return counts;
  };
  co_return co_await database_.run(Lane::claim, "count_ready", body);
}

}  // namespace cambrian::coordinator::postgres
