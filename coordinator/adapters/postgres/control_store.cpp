#include "coordinator/adapters/postgres/control_store.hpp"

#include "coordinator/adapters/postgres/codec.hpp"

namespace cambrian::coordinator::postgres {
namespace {

// With fewer than three workers that could do it nobody could say which of two is off. The first
// control comes when a tenth of the interval is over: short campaigns do without. A worker has one
// at a time, whatever the campaign; one whose campaign has ended meanwhile is no hindrance. A
// control that came back is not exchanged for another. Who is not due costs a look at a few rows,
// without a walk over the agents. Two coordinators that plant at once meet at the row of `control`.
constexpr const char* kPlant =
    "WITH asked AS (SELECT DISTINCT ON (g.worker) g.item, g.worker, i.campaign_id,"
    "  i.priority, i.runtime, i.sandbox_level, i.gpus, i.attempt_budget_min_ms"
    "  FROM unnest($1::bigint[], $2::text[]) AS g (item, worker) JOIN work_item i ON i.id = g.item"
    "  AND i.number < 1000000000000 ORDER BY g.worker, i.campaign_id, g.item),"
    " known AS MATERIALIZED (SELECT a.*, s.split, s.seed,"
    "  EXISTS (SELECT 1 FROM control k WHERE k.worker = a.worker) AS has_worked FROM asked a"
    "  JOIN campaign c ON c.id = a.campaign_id AND c.state = 'running' AND c.seed_score IS NOT NULL"
    "  CROSS JOIN LATERAL (SELECT e.split, e.seed FROM evaluation e"
    "   WHERE e.campaign_id = a.campaign_id AND e.variant = 0 AND NOT e.is_final"
    "   AND NOT e.is_control AND e.outcome = 'success' ORDER BY e.number LIMIT 1) s"
    "  WHERE CASE WHEN EXISTS (SELECT 1 FROM control k JOIN campaign o ON o.id = k.campaign_id"
    "    WHERE k.worker = a.worker AND (k.next_at > now()"
    "    OR k.judged < k.evaluation AND o.state IN ('running', 'draining', 'finalizing')))"
    "   THEN false ELSE (SELECT count(DISTINCT o.name) FROM agent o WHERE o.kind = 'worker'"
    "    AND o.last_sync_at > now() - interval '1 minute' AND NOT o.is_draining"
    "    AND NOT o.should_drain AND o.description -> 'runtimes' ? a.runtime"
    "    AND (o.description ->> 'sandbox_level')::integer >= a.sandbox_level"
    "    AND coalesce(o.description ->> 'trouble', '') = ''"
    "    AND jsonb_array_length(o.description -> 'gpus') >= a.gpus AND NOT EXISTS"
    "    (SELECT 1 FROM quarantine q WHERE q.worker = o.name)) >= 3 END),"
    " due AS (INSERT INTO control AS k (campaign_id, worker, evaluation, next_at)"
    "  SELECT campaign_id, worker, CASE WHEN has_worked THEN nextval('control_number') ELSE 0 END,"
    "   now() + CASE WHEN has_worked THEN 1 ELSE 0.1 END * $3::bigint * interval '1 millisecond'"
    "  FROM known ORDER BY campaign_id, worker ON CONFLICT (campaign_id, worker)"
    "  DO UPDATE SET evaluation = nextval('control_number'), planted_at = now(),"
    "   next_at = now() + $3::bigint * interval '1 millisecond' WHERE k.next_at <= now()"
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
constexpr const char* kUnjudged =
    "SELECT k.campaign_id, c.name, c.objective_metric, k.worker, k.evaluation,"
    " e.agent_name = k.worker, CASE WHEN e.outcome = 'success'"
    "  THEN (e.metrics ->> c.objective_metric)::double precision END,"
    " c.noise_deviation FROM control k JOIN campaign c ON c.id = k.campaign_id"
    " JOIN evaluation e ON e.campaign_id = k.campaign_id AND e.number = k.evaluation"
    " WHERE k.judged < k.evaluation AND e.outcome IS NOT NULL ORDER BY k.planted_at LIMIT 200";
constexpr const char* kOtherControls =
    "SELECT e.agent_name, CASE WHEN e.outcome = 'success'"
    " THEN (e.metrics ->> $3)::double precision END FROM evaluation e"
    " WHERE e.campaign_id = $1 AND e.is_control AND e.outcome IS NOT NULL"
    " AND e.agent_name NOT IN ('', $2)"
    " AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.worker = e.agent_name)"
    " ORDER BY e.number DESC LIMIT 200";
constexpr const char* kNote =
    "UPDATE control k SET judged = $3, strikes = CASE WHEN $4 THEN k.strikes + 1 ELSE 0 END,"
    " next_at = CASE WHEN $4 THEN now() ELSE now() + greatest($5::bigint * interval"
    "  '1 millisecond', 20 * (e.finished_at - k.planted_at)) END FROM evaluation e"
    " WHERE k.campaign_id = $1 AND k.worker = $2 AND k.judged < $3"
    " AND e.campaign_id = k.campaign_id AND e.number = $3 RETURNING k.strikes";
// One whose lease was lost may have been made by another worker, and says nothing of this one.
constexpr const char* kSkip =
    "UPDATE control SET judged = evaluation"
    " WHERE campaign_id = $1 AND worker = $2 AND evaluation = $3";
constexpr const char* kQuarantine =
    "INSERT INTO quarantine (worker, evidence) VALUES ($1, $2) ON CONFLICT DO NOTHING";
constexpr const char* kHeld =
    "SELECT w.id, w.epoch FROM quarantine q JOIN agent a ON a.name = q.worker"
    " AND a.kind = 'worker' JOIN work_item w ON w.agent_id = a.agent_id AND w.state = 'leased'"
    " ORDER BY w.campaign_id, w.id LIMIT 200";

std::vector<ControlScore> read_others(pqxx::work& transaction, const Control& control) {
  std::vector<ControlScore> others;
  for (const auto& row :
       execute(transaction, kOtherControls,
               pqxx::params{control.campaign.value, control.own.worker, control.metric})) {
    others.push_back({row[0].as<std::string>(), optional_of<double>(row[1])});
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

awaitable<Result<int>> PostgresControlStore::note(Control control, bool is_off,
                                                  milliseconds interval) {
  auto body = [control = std::move(control), is_off,
               interval](pqxx::work& transaction) -> Result<int> {
    const auto rows = execute(transaction, kNote,
                              pqxx::params{control.campaign.value, control.own.worker,
                                           control.evaluation, is_off, interval.count()});
    return rows.empty() ? 0 : rows[0][0].as<int>();
  };
  co_return co_await database_.run(Lane::driver, "control_note", std::move(body));
}

awaitable<Status> PostgresControlStore::quarantine(std::string worker, std::string evidence) {
  auto body = [worker = std::move(worker),
               evidence = std::move(evidence)](pqxx::work& transaction) -> Status {
    execute(transaction, kQuarantine, pqxx::params{worker, evidence});
    return {};
  };
  co_return co_await database_.run(Lane::driver, "quarantine", std::move(body));
}

awaitable<Result<std::vector<Lease>>> PostgresControlStore::held() {
  auto body = [](pqxx::work& transaction) -> Result<std::vector<Lease>> {
    std::vector<Lease> leases;
    for (const auto& row : execute(transaction, kHeld)) {
      leases.push_back({ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()});
    }
    return leases;
  };
  co_return co_await database_.run(Lane::driver, "quarantine_held", body);
}

}  // namespace cambrian::coordinator::postgres
