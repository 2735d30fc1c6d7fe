#include "coordinator/adapters/postgres/control_store.hpp"

#include "coordinator/adapters/postgres/codec.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// With fewer than three workers nobody could say which of two is off. The first control comes when
// a tenth of the interval is over: short campaigns do without. Who is not due costs a look at one
// row, without a walk over the agents. Two coordinators that plant at once meet at that row.
constexpr const char* kPlant =
    "WITH asked AS (SELECT DISTINCT ON (i.campaign_id, g.worker) g.item, g.worker, i.campaign_id,"
    "  i.priority, i.runtime, i.sandbox_level, i.gpus, i.attempt_budget_min_ms"
    "  FROM unnest($1::bigint[], $2::text[]) AS g (item, worker) JOIN work_item i ON i.id = g.item"
    "  ORDER BY i.campaign_id, g.worker, g.item),"
    " known AS MATERIALIZED (SELECT a.*, s.split, s.seed FROM asked a"
    "  JOIN campaign c ON c.id = a.campaign_id AND c.state = 'running' AND c.seed_score IS NOT NULL"
    "  CROSS JOIN LATERAL (SELECT e.split, e.seed FROM evaluation e"
    "   WHERE e.campaign_id = a.campaign_id AND e.variant = 0 AND NOT e.is_final"
    "   AND NOT e.is_control AND e.outcome = 'success' ORDER BY e.number LIMIT 1) s"
    "  WHERE CASE WHEN EXISTS (SELECT 1 FROM control k WHERE k.campaign_id = a.campaign_id"
    "   AND k.worker = a.worker AND k.planted_at > now() - $3::bigint * interval '1 millisecond')"
    "   THEN false ELSE (SELECT count(DISTINCT name) FROM agent WHERE kind = 'worker'"
    "   AND last_sync_at > now() - interval '1 minute') >= 3 END),"
    " due AS (INSERT INTO control AS k (campaign_id, worker, evaluation, planted_at)"
    "  SELECT campaign_id, worker, 0, now() - 0.9 * $3::bigint * interval '1 millisecond' FROM known"
    "  ORDER BY campaign_id, worker ON CONFLICT (campaign_id, worker)"
    "  DO UPDATE SET evaluation = nextval('control_number'), planted_at = now()"
    "  WHERE k.planted_at <= now() - $3::bigint * interval '1 millisecond'"
    "  RETURNING campaign_id, worker, evaluation),"
    " planted AS MATERIALIZED (SELECT d.evaluation, n.* FROM due d"
    "  JOIN known n USING (campaign_id, worker) WHERE d.evaluation > 0),"
    " stored AS (INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final,"
    "  content_key, is_control)"
    "  SELECT campaign_id, evaluation, 0, split, seed, false, '', true FROM planted),"
    " made AS (INSERT INTO work_item (campaign_id, kind, number, priority, runtime, sandbox_level,"
    "  gpus, model, attempt_budget_min_ms) SELECT campaign_id, 'evaluation', evaluation, priority,"
    "  runtime, sandbox_level, gpus, '', attempt_budget_min_ms FROM planted RETURNING id, number)"
    " SELECT p.item, m.id FROM made m JOIN planted p ON p.evaluation = m.number";
// One whose lease was lost may have been made by another worker, and says nothing of this one.
constexpr const char* kUnjudged =
    "SELECT k.campaign_id, c.name, m.metric, k.worker, k.evaluation, e.agent_name = k.worker,"
    " CASE WHEN e.outcome = 'success' THEN (e.metrics ->> m.metric)::double precision END,"
    " c.noise_deviation FROM control k JOIN campaign c ON c.id = k.campaign_id"
    " CROSS JOIN LATERAL (SELECT c.definition -> 'settings' -> 'objectives' -> 0 ->> 'metric'"
    "  AS metric) m"
    " JOIN evaluation e ON e.campaign_id = k.campaign_id AND e.number = k.evaluation"
    " WHERE k.judged < k.evaluation AND e.outcome IS NOT NULL"
    " AND c.state IN ('running', 'draining', 'finalizing') ORDER BY k.planted_at LIMIT 200";
// Of one that is in flight the result before.
constexpr const char* kOtherControls =
    "SELECT k.worker, e.outcome = 'success', (e.metrics ->> $3)::double precision"
    " FROM control k CROSS JOIN LATERAL (SELECT * FROM evaluation x"
    "  WHERE x.campaign_id = k.campaign_id AND x.number IN (k.evaluation, k.judged)"
    "  AND x.outcome IS NOT NULL AND x.agent_name = k.worker ORDER BY x.number DESC LIMIT 1) e"
    " WHERE k.campaign_id = $1 AND k.worker <> $2"
    " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.worker = k.worker) ORDER BY k.worker";
constexpr const char* kNote =
    "UPDATE control SET judged = $3, strikes = CASE WHEN $4 THEN strikes + 1 ELSE 0 END,"
    " planted_at = CASE WHEN $4 THEN '-infinity' ELSE planted_at END"
    " WHERE campaign_id = $1 AND worker = $2 AND judged < $3 RETURNING strikes";
constexpr const char* kSkip =
    "UPDATE control SET judged = evaluation, planted_at = '-infinity'"
    " WHERE campaign_id = $1 AND worker = $2 AND evaluation = $3";
constexpr const char* kQuarantine =
    "INSERT INTO quarantine (worker, evidence) VALUES ($1, $2) ON CONFLICT DO NOTHING";
constexpr const char* kHeld =
    "SELECT w.id, w.epoch FROM work_item w JOIN agent a ON a.agent_id = w.agent_id"
    " WHERE w.state = 'leased' AND a.kind = 'worker' AND a.name = $1 ORDER BY w.id LIMIT 1024";

std::vector<ControlScore> read_others(pqxx::work& transaction, const Control& control) {
  std::vector<ControlScore> others;
  for (const auto& row : execute(
           transaction, kOtherControls,
           pqxx::params{control.campaign.value, control.own.worker, control.metric})) {
    ControlScore score{.worker = row[0].as<std::string>(), .score = {}};
    if (row[1].as<bool>()) score.score = optional_of<double>(row[2]);
    others.push_back(std::move(score));
  }
  return others;
}

}  // namespace

std::map<std::int64_t, std::int64_t> plant_controls(pqxx::work& transaction,
                                                    const std::vector<std::int64_t>& items,
                                                    const std::vector<std::string>& workers,
                                                    milliseconds interval) {
  std::map<std::int64_t, std::int64_t> planted;
  for (const auto& row :
       execute(transaction, kPlant,
               pqxx::params{number_array(items), text_array(workers), interval.count()})) {
    planted.emplace(row[0].as<std::int64_t>(), row[1].as<std::int64_t>());
  }
  return planted;
}

awaitable<Result<std::vector<Control>>> PostgresControlStore::unjudged() {
  auto body = [](pqxx::work& transaction) -> Result<std::vector<Control>> {
    std::vector<Control> controls;
    for (const auto& row : execute(transaction, kUnjudged)) {
      Control control{.campaign = {row[0].as<std::int64_t>()},
                      .campaign_name = row[1].as<std::string>(),
                      .metric = row[2].as<std::string>(),
                      .evaluation = row[4].as<std::int64_t>(),
                      .own = {row[3].as<std::string>(), optional_of<double>(row[6])},
                      .others = {},
                      .noise = optional_of<double>(row[7])};
      if (!row[5].as<bool>()) {
        execute(transaction, kSkip,
                pqxx::params{control.campaign.value, control.own.worker, control.evaluation});
        continue;
      }
      control.others = read_others(transaction, control);
      controls.push_back(std::move(control));
    }
    return controls;
  };
  co_return co_await database_.run(Lane::driver, "control_look", body);
}

awaitable<Result<int>> PostgresControlStore::note(Control control, bool is_off) {
  auto body = [control = std::move(control), is_off](pqxx::work& transaction) -> Result<int> {
    const auto rows = execute(
        transaction, kNote,
        pqxx::params{control.campaign.value, control.own.worker, control.evaluation, is_off});
    return rows.empty() ? 0 : rows[0][0].as<int>();
  };
  co_return co_await database_.run(Lane::driver, "control_note", std::move(body));
}

awaitable<Result<std::vector<Lease>>> PostgresControlStore::quarantine(std::string worker,
                                                                       std::string evidence) {
  auto body = [worker = std::move(worker), evidence = std::move(evidence)](
                  pqxx::work& transaction) -> Result<std::vector<Lease>> {
    execute(transaction, kQuarantine, pqxx::params{worker, evidence});
    std::vector<Lease> leases;
    for (const auto& row : execute(transaction, kHeld, pqxx::params{worker})) {
      leases.push_back({ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()});
    }
    return leases;
  };
  co_return co_await database_.run(Lane::driver, "quarantine", std::move(body));
}

}  // namespace cambrian::coordinator::postgres
