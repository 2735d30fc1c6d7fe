#include "coordinator/adapters/postgres/codec.hpp"
#include "coordinator/adapters/postgres/content_store.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kListAgents =
    "SELECT a.agent_id, a.name, a.kind, a.description, a.running,"
    " a.is_draining OR a.should_drain, a.last_sync_at < now() - $2 * interval '1 millisecond',"
    " coalesce(held.leases, 0),"
    " a.attempts_finished, (extract(epoch FROM a.created_at) * 1000000)::bigint,"
    " (extract(epoch FROM a.last_sync_at) * 1000000)::bigint, coalesce(disputed.jumps, 0),"
    " coalesce(q.evidence, '')"
    " FROM agent a LEFT JOIN quarantine q ON q.worker = a.name AND a.kind = 'worker'"
    " LEFT JOIN (SELECT e.agent_name, count(DISTINCT (v.campaign_id, v.number))"
    "   AS jumps FROM variant v JOIN evaluation e ON e.campaign_id = v.campaign_id"
    "   AND e.variant = v.number WHERE v.confirmation = 'disputed' AND NOT e.is_final"
    "   AND NOT e.is_confirmation GROUP BY e.agent_name) disputed ON disputed.agent_name = a.name "
    "AND a.kind = 'worker'"
    " LEFT JOIN (SELECT agent_id, count(*) AS leases FROM work_item"
    "  WHERE state = 'leased' GROUP BY agent_id) held ON held.agent_id = a.agent_id"
    " WHERE a.last_sync_at > now() - interval '1 day'"
    " AND ($1 OR a.last_sync_at >= now() - $2 * interval '1 millisecond')"
    " AND ($3 = '' OR a.agent_id = $3) ORDER BY a.kind DESC, a.name, a.agent_id LIMIT 1000";
constexpr const char* kResolve =
    "SELECT agent_id FROM agent WHERE agent_id = $1"
    " OR (name = $1 AND last_sync_at >= now() - $2 * interval '1 millisecond')"
    " ORDER BY agent_id = $1 DESC LIMIT 2";
constexpr const char* kRelease =
    "WITH gone AS (DELETE FROM quarantine WHERE worker = $1 RETURNING worker, evidence),"
    " anew AS (UPDATE control k SET strikes = 0, next_at = now() FROM gone"
    "  WHERE k.worker = gone.worker)"
    " SELECT evidence FROM gone";
constexpr const char* kDrain = "UPDATE agent SET should_drain = true WHERE agent_id = $1";
constexpr const char* kWorkedOn = "SELECT id FROM campaign WHERE name = $1 AND NOT is_deleting";
constexpr const char* kUsage =
    "SELECT m.model, m.endpoint, count(*),"
    " count(*) FILTER (WHERE m.finish_reason = 'error' OR m.is_outcome_unknown),"
    " sum(m.prompt_tokens)::bigint, sum(m.completion_tokens)::bigint,"
    " sum(m.cost_micro_usd)::bigint, avg(m.latency_ms)::double precision,"
    " coalesce((SELECT count(*) FROM variant v WHERE ($1 = 0 OR v.campaign_id = $1)"
    "  AND v.model = m.model), 0), sum(m.cached_prompt_tokens)::bigint,"
    " sum(m.reasoning_tokens)::bigint, count(*) FILTER (WHERE m.is_outcome_unknown)"
    " FROM model_call m WHERE $1 = 0 OR m.campaign_id = $1"
    " GROUP BY m.model, m.endpoint ORDER BY m.model, m.endpoint LIMIT 1000";
constexpr const char* kOverview =
    "SELECT 'campaign', state, count(*) FROM campaign WHERE NOT is_deleting GROUP BY state"
    " UNION ALL SELECT 'item', kind || '/' || state, count(*) FROM work_item"
    "  WHERE state IN ('ready', 'leased') GROUP BY kind, state"
    " UNION ALL SELECT 'agent', kind || '/' || CASE"
    "   WHEN last_sync_at < now() - $1 * interval '1 millisecond' THEN 'lost'"
    "   WHEN kind = 'worker' AND EXISTS (SELECT 1 FROM quarantine q WHERE q.worker = name)"
    "    THEN 'quarantined'"
    "   WHEN coalesce(description ->> 'trouble', '') <> '' THEN 'in_trouble'"
    "   WHEN is_draining OR should_drain THEN 'draining' ELSE 'alive' END, count(*) FROM agent"
    "  WHERE last_sync_at > now() - interval '1 day' GROUP BY 1, 2"
    " UNION ALL SELECT 'slots', kind, sum((description ->> 'slots')::bigint)::bigint FROM agent"
    "  WHERE last_sync_at >= now() - $1 * interval '1 millisecond' AND NOT is_draining"
    "  AND NOT should_drain AND NOT (kind = 'worker'"
    "   AND EXISTS (SELECT 1 FROM quarantine q WHERE q.worker = name)) GROUP BY kind"
    " UNION ALL SELECT 'oldest', '', coalesce(max(extract(epoch FROM now() - xact_start)) * 1000,"
    "  0)::bigint FROM pg_stat_activity WHERE datname = current_database()"
    "  AND backend_type = 'client backend'";

AgentRecord agent_of(const pqxx::row& row) {
  AgentRecord record;
  record.description = agent_from_json(json_of(row[3]));
  record.description.agent_id = row[0].as<std::string>();
  record.description.name = row[1].as<std::string>();
  record.description.kind = known_word<AgentKind>(row[2].view());
  record.running = progress_from_json(json_of(row[4]));
  if (row[5].as<bool>()) record.state = AgentState::draining;
  record.quarantine_evidence = row[12].as<std::string>();
  if (!record.quarantine_evidence.empty()) record.state = AgentState::quarantined;
  if (row[6].as<bool>()) record.state = AgentState::lost;
  record.leases = row[7].as<int>();
  record.attempts_finished = row[8].as<std::int64_t>();
  record.created_at = instant_of(row[9]);
  record.last_sync_at = instant_of(row[10]);
  record.jumps_disputed = row[11].as<std::int64_t>();
  return record;
}

ModelUsage usage_of(const pqxx::row& row) {
  return {.model = row[0].as<std::string>(),
          .endpoint = row[1].as<std::string>(),
          .calls = row[2].as<std::int64_t>(),
          .calls_failed = row[3].as<std::int64_t>(),
          .prompt_tokens = row[4].as<std::int64_t>(),
          .completion_tokens = row[5].as<std::int64_t>(),
          .cost_micro_usd = row[6].as<std::int64_t>(),
          .latency_mean_ms = row[7].as<double>(),
          .variants = row[8].as<std::int64_t>(),
          .cached_prompt_tokens = row[9].as<std::int64_t>(),
          .reasoning_tokens = row[10].as<std::int64_t>(),
          .calls_unknown = row[11].as<std::int64_t>()};
}

}  // namespace

awaitable<Result<std::vector<AgentRecord>>> PostgresAgentStore::list(bool with_lost,
                                                                     milliseconds lease) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<AgentRecord>> {
    std::vector<AgentRecord> records;
    for (const auto& row :
         transaction.exec(kListAgents, pqxx::params{with_lost, lease.count(), ""})) {
      records.push_back(agent_of(row));
    }
    return records;
  };
  co_return co_await database_.run(Lane::user, "agent_list", body);
}

awaitable<Result<AgentRecord>> PostgresAgentStore::drain(std::string agent, milliseconds lease) {
  auto body = [=](pqxx::work& transaction) -> Result<AgentRecord> {
    const auto found = transaction.exec(kResolve, pqxx::params{agent, lease.count()});
    if (found.empty()) return fail(Errc::not_found, "no such agent: worker=" + agent);
    const auto id = found[0][0].as<std::string>();
    if (found.size() > 1 && id != agent) {
      return fail(Errc::conflict, "several agents have this name, give the id: worker=" + agent);
    }
    transaction.exec(kDrain, pqxx::params{id});
    const auto rows = transaction.exec(kListAgents, pqxx::params{true, lease.count(), id});
    if (rows.empty()) return fail(Errc::not_found, "no such agent: worker=" + agent);
    return agent_of(rows[0]);
  };
  auto drained = co_await database_.run(Lane::user, "agent_drain", std::move(body));
  noted_.forget_all();
  co_return drained;
}

awaitable<Result<std::string>> PostgresAgentStore::release(std::string worker) {
  auto body = [=](pqxx::work& transaction) -> Result<std::string> {
    const auto rows = transaction.exec(kRelease, pqxx::params{worker});
    if (rows.empty()) return fail(Errc::not_found, "no such worker in quarantine: name=" + worker);
    return rows[0][0].as<std::string>();
  };
  // A second run would find nobody and deny what the first one did.
  auto released =
      co_await database_.run(Lane::user, "agent_release", std::move(body), InDoubt::report);
  noted_.forget_all();
  co_return released;
}

awaitable<Result<std::vector<ModelUsage>>> PostgresAgentStore::usage(std::string campaign) {
  auto body = [=](pqxx::work& transaction) -> Result<std::vector<ModelUsage>> {
    std::int64_t id = 0;
    if (!campaign.empty()) {
      const auto found = transaction.exec(kWorkedOn, pqxx::params{campaign});
      if (found.empty()) return fail(Errc::not_found, "no such campaign: name=" + campaign);
      id = found[0][0].as<std::int64_t>();
    }
    std::vector<ModelUsage> usage;
    for (const auto& row : transaction.exec(kUsage, pqxx::params{id})) {
      usage.push_back(usage_of(row));
    }
    return usage;
  };
  co_return co_await database_.run(Lane::user, "usage", std::move(body));
}

awaitable<Result<Overview>> PostgresAgentStore::overview(milliseconds lease) {
  auto body = [=](pqxx::work& transaction) -> Result<Overview> {
    Overview overview;
    for (const auto& row : transaction.exec(kOverview, pqxx::params{lease.count()})) {
      const auto group = row[0].view();
      const auto key = row[1].as<std::string>();
      const auto count = row[2].as<std::int64_t>();
      if (group == "campaign") overview.campaigns[key] = count;
      if (group == "item") overview.items[key] = count;
      if (group == "agent") overview.agents[key] = count;
      if (group == "slots") overview.slots[key] = count;
      if (group == "oldest") overview.oldest_transaction_ms = count;
    }
    return overview;
  };
  co_return co_await database_.run(Lane::driver, "overview", body);
}

}  // namespace cambrian::coordinator::postgres
