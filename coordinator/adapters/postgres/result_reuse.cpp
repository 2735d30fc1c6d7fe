#include "coordinator/adapters/postgres/result_reuse.hpp"

#include <stdexcept>

#include "common/log/log.hpp"

namespace cambrian::coordinator::postgres {
namespace {

/// Begins every key. Another one makes results of older releases unfindable.
constexpr const char* kKeyRelease = "2";

constexpr const char* kInsertEvaluation =
    "INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final, content_key,"
    " is_confirmation)"
    " SELECT v.campaign_id, r.number, v.number, r.split, r.seed, r.is_final,"
    " CASE WHEN r.may_reuse THEN encode(sha256("
    "  convert_to(concat_ws(E'\\n', $2::text, $3::text, $4::jsonb::text, $5::integer, v.files,"
    "   r.split, r.seed::text, (SELECT value FROM judge_secret), (SELECT value FROM result_salt)),"
    "  'UTF8')), 'hex') ELSE '' END,"
    " r.is_confirmation"
    " FROM json_to_recordset($1::json) AS r (campaign bigint, number bigint, variant bigint,"
    "  split text, seed numeric, is_final boolean, may_reuse boolean, is_confirmation boolean)"
    " JOIN variant v ON v.campaign_id = r.campaign AND v.number = r.variant";
// Connected: heard of within the time of a lease.
constexpr const char* kReuse =
    "UPDATE evaluation e SET outcome = s.outcome, metrics = s.metrics, diagnostics = s.diagnostics,"
    " log = s.log, memory_peak_bytes = s.memory_peak_bytes, result_key = s.result_key,"
    " behaviour_digest = s.behaviour_digest, is_cached = true, agent_name = s.agent_name,"
    " evaluator = s.evaluator, is_resumed = s.is_resumed, finished_at = now()"
    " FROM result r JOIN evaluation s ON s.campaign_id = r.campaign_id AND s.number = r.number"
    " JOIN task t ON t.digest = $3"
    " WHERE e.campaign_id = $1 AND e.number = ANY($2::bigint[]) AND r.content_key = e.content_key"
    " AND t.repeatability = 'repeatable' AND EXISTS (SELECT 1 FROM agent a WHERE a.kind = 'worker'"
    "  AND a.last_sync_at > now() - interval '1 minute'"
    "  AND a.description ->> 'toolchain' = r.toolchain)"
    " RETURNING e.number, e.outcome, e.metrics, e.agent_name";
// The update sees the table as it was before the insert: a result is compared with an earlier one.
constexpr const char* kNoteResults =
    "WITH r AS (SELECT * FROM json_to_recordset($1::json) AS r (campaign bigint, number bigint,"
    "  agent_id text, outcome text, metrics jsonb)),"
    " c AS MATERIALIZED (SELECT id, task_digest FROM campaign"
    "  WHERE id = ANY(ARRAY(SELECT campaign FROM r))),"
    " content AS (SELECT e.content_key, a.description ->> 'toolchain' AS toolchain,"
    "  c.task_digest, r.campaign, r.number, r.outcome, r.metrics"
    "  FROM r JOIN evaluation e ON e.campaign_id = r.campaign AND e.number = r.number"
    "  JOIN c ON c.id = r.campaign JOIN agent a ON a.agent_id = r.agent_id"
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

void insert_evaluations(pqxx::work& transaction, CampaignId campaign,
                        const CampaignDefinition& definition,
                        const std::vector<NewEvaluation>& evaluations) {
  if (evaluations.empty()) return;
  Json rows = Json::array();
  for (const auto& one : evaluations) {
    rows.push_back({{"campaign", campaign.value},
                    {"number", one.request.evaluation.value},
                    {"variant", one.request.variant.value},
                    {"split", word(one.request.split)},
                    {"seed", one.request.seed},
                    {"is_final", one.request.is_final},
                    {"may_reuse", one.may_reuse},
                    {"is_confirmation", one.request.jump.has_value()}});
  }
  // The parameters' names are sorted: equal ones make equal keys.
  const auto inserted = execute(transaction, kInsertEvaluation,
                                pqxx::params{rows.dump(), kKeyRelease, definition.task_digest,
                                             Json(definition.parameters).dump(), definition.gpus})
                            .affected_rows();
  if (static_cast<std::size_t>(inserted) != evaluations.size()) {
    throw std::logic_error("an evaluation without a variant: inserted=" + std::to_string(inserted) +
                           " of=" + std::to_string(evaluations.size()));
  }
}

std::map<search::EvaluationNumber, ReusedResult> reuse_results(
    pqxx::work& transaction, CampaignId campaign, const std::string& task_digest,
    const std::vector<search::RequestEvaluation>& evaluations) {
  std::map<search::EvaluationNumber, const search::RequestEvaluation*> asked;
  std::vector<std::int64_t> numbers;
  for (const auto& one : evaluations) {
    if (one.evaluation.value % kReuseCheckInterval == 0) continue;
    asked[one.evaluation] = &one;
    numbers.push_back(one.evaluation.value);
  }
  std::map<search::EvaluationNumber, ReusedResult> reused;
  if (numbers.empty()) return reused;
  for (const auto& row : execute(
           transaction, kReuse, pqxx::params{campaign.value, number_array(numbers), task_digest})) {
    const search::EvaluationNumber number{row[0].as<std::int64_t>()};
    EvaluationResult result;
    result.outcome = known_word<search::Outcome>(row[1].view());
    result.metrics = json_of(row[2]).get<std::map<std::string, double>>();
    result.is_cached = true;
    reused[number] = {
        .event = evaluation_event(*asked.at(number), result, row[3].as<std::string>()),
        .has_failed = result.outcome != search::Outcome::success};
  }
  return reused;
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
