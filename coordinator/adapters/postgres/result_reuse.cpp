#include "coordinator/adapters/postgres/result_reuse.hpp"

#include "common/log/log.hpp"

namespace cambrian::coordinator::postgres {
namespace {

/// Begins every key. Another one makes results of older releases unfindable.
constexpr const char* kKeyRelease = "2";

constexpr const char* kInsertEvaluation =
    "INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final, content_key,"
    " is_confirmation)"
    " SELECT $1::bigint, $2::bigint, v.number, $4::text, $5::numeric, $6::boolean,"
    " CASE WHEN $7::boolean THEN encode(sha256("
    "  convert_to(concat_ws(E'\\n', $8::text, $9::text, $10::jsonb::text, $11::integer, v.files,"
    "   $4::text, $5::text, (SELECT value FROM judge_secret), (SELECT value FROM result_salt)),"
    "  'UTF8')), 'hex') ELSE '' END,"
    " $12::boolean"
    " FROM variant v WHERE v.campaign_id = $1 AND v.number = $3";
// Connected: heard of within the time of a lease.
constexpr const char* kReuse =
    "UPDATE evaluation e SET outcome = s.outcome, metrics = s.metrics, diagnostics = s.diagnostics,"
    " log = s.log, memory_peak_bytes = s.memory_peak_bytes, result_key = s.result_key,"
    " behaviour_digest = s.behaviour_digest, is_cached = true, agent_name = s.agent_name,"
    " evaluator = s.evaluator, is_resumed = s.is_resumed, finished_at = now()"
    " FROM result r JOIN evaluation s ON s.campaign_id = r.campaign_id AND s.number = r.number"
    " JOIN task t ON t.digest = $3"
    " WHERE e.campaign_id = $1 AND e.number = $2 AND r.content_key = e.content_key"
    " AND t.repeatability = 'repeatable' AND EXISTS (SELECT 1 FROM agent a WHERE a.kind = 'worker'"
    "  AND a.last_sync_at > now() - interval '1 minute'"
    "  AND a.description ->> 'toolchain' = r.toolchain)"
    " RETURNING e.outcome, e.metrics, e.agent_name";
constexpr const char* kCountReused =
    "UPDATE campaign SET evaluations = evaluations + 1,"
    " evaluations_reused = evaluations_reused + 1,"
    " evaluations_failed = evaluations_failed + $2 WHERE id = $1";
// The update sees the table as it was before the insert: a result is compared with an earlier one.
constexpr const char* kNoteResults =
    "WITH r AS (SELECT * FROM json_to_recordset($1::json) AS r (campaign bigint, number bigint,"
    "  agent_id text, outcome text, metrics jsonb)),"
    " content AS (SELECT e.content_key, a.description ->> 'toolchain' AS toolchain,"
    "  c.task_digest, r.campaign, r.number, r.outcome, r.metrics"
    "  FROM r JOIN evaluation e ON e.campaign_id = r.campaign AND e.number = r.number"
    "  JOIN campaign c ON c.id = r.campaign JOIN agent a ON a.agent_id = r.agent_id"
    "  WHERE e.content_key <> ''),"
    " kept AS (INSERT INTO result (content_key, toolchain, campaign_id, number)"
    "  SELECT content_key, toolchain, campaign, number FROM content"
    "  ORDER BY content_key, toolchain, number ON CONFLICT DO NOTHING),"
    " seen AS (SELECT k.task_digest, CASE WHEN bool_and(s.outcome = k.outcome"
    "   AND s.metrics = k.metrics) THEN 'repeatable' ELSE 'noisy' END AS repeatability"
    "  FROM content k JOIN result o USING (content_key, toolchain)"
    "  JOIN evaluation s ON s.campaign_id = o.campaign_id AND s.number = o.number"
    "  GROUP BY k.task_digest)"
    " UPDATE task t SET repeatability = seen.repeatability FROM seen"
    " WHERE t.digest = seen.task_digest AND t.repeatability NOT IN ('noisy', seen.repeatability)"
    " RETURNING t.name, t.repeatability";

/// True for outcomes that follow from the content alone.
bool is_repeatable(search::Outcome outcome) {
  switch (outcome) {
    case search::Outcome::success:
    case search::Outcome::compile_error:
    case search::Outcome::bad_output:
    case search::Outcome::not_finite: return true;
    case search::Outcome::crash:
    case search::Outcome::timeout:
    case search::Outcome::out_of_memory:
    case search::Outcome::resource_exceeded:
    case search::Outcome::infrastructure:
    case search::Outcome::stopped_early: return false;
  }
  return false;
}

}  // namespace

void insert_evaluation(pqxx::work& transaction, CampaignId campaign,
                       const search::RequestEvaluation& command, const EvaluationContent* content) {
  const EvaluationContent none{.task_digest = "", .parameters = "{}", .gpus = 0};
  const EvaluationContent& used = content == nullptr ? none : *content;
  execute(transaction, kInsertEvaluation,
          pqxx::params{campaign.value, command.evaluation.value, command.variant.value,
                       word(command.split), std::to_string(command.seed), command.is_final,
                       content != nullptr, kKeyRelease, used.task_digest, used.parameters,
                       used.gpus, command.jump.has_value()});
}

std::optional<StoredEvent> reuse_result(pqxx::work& transaction, CampaignId campaign,
                                        const search::RequestEvaluation& command,
                                        const std::string& task_digest) {
  if (command.evaluation.value % kReuseCheckInterval == 0) return std::nullopt;
  const auto rows = execute(transaction, kReuse,
                            pqxx::params{campaign.value, command.evaluation.value, task_digest});
  if (rows.empty()) return std::nullopt;
  EvaluationResult result;
  result.outcome = known_word<search::Outcome>(rows[0][0].view());
  result.metrics = json_of(rows[0][1]).get<std::map<std::string, double>>();
  result.is_cached = true;
  const int failed = result.outcome == search::Outcome::success ? 0 : 1;
  execute(transaction, kCountReused, pqxx::params{campaign.value, failed});
  return evaluation_event(command, result, rows[0][2].as<std::string>());
}

void note_results(pqxx::work& transaction, const std::vector<NotedResult>& results) {
  Json rows = Json::array();
  for (const auto& one : results) {
    if (!is_repeatable(one.result->outcome)) continue;
    rows.push_back({{"campaign", one.campaign.value},
                    {"number", one.evaluation},
                    {"agent_id", one.agent_id},
                    {"outcome", word(one.result->outcome)},
                    {"metrics", one.result->metrics}});
  }
  if (rows.empty()) return;
  for (const auto& row : execute(transaction, kNoteResults, pqxx::params{rows.dump()})) {
    log::info("task_repeatability_seen",
              {{"task", row[0].as<std::string>()}, {"repeatability", row[1].as<std::string>()}});
  }
}

}  // namespace cambrian::coordinator::postgres
