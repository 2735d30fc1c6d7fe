#include "coordinator/adapters/postgres/import_store.hpp"

#include <set>

#include "coordinator/adapters/postgres/campaign_store.hpp"
#include "coordinator/adapters/postgres/codec.hpp"
#include "coordinator/adapters/postgres/content_store.hpp"
#include "coordinator/journal/import.hpp"

namespace cambrian::coordinator::postgres {
namespace {

/// Rows of one statement.
constexpr std::size_t kRowsAtOnce = 500;

constexpr const char* kFindByRequest = "SELECT name FROM campaign WHERE request_id = $1";
constexpr const char* kMissing =
    "SELECT d FROM unnest($1::text[]) AS d WHERE NOT EXISTS"
    " (SELECT 1 FROM blob b WHERE b.sha256 = d) LIMIT 1";
constexpr const char* kImportCampaign =
    "INSERT INTO campaign (name, request_id, spec, definition, task_digest, task_name,"
    " objective_metric, is_maximized, priority, state, end_reason, reason, created_at, ended_at,"
    " last_sequence, applied_sequence, running_ms, evaluations, evaluations_failed,"
    " evaluations_reused, final_evaluations, proposals, proposals_failed, duplicates, tokens,"
    " cost_micro_usd, gpu_time_ms, cpu_time_ms, best_variant, best_score, seed_score,"
    " noise_deviation, evaluations_stopped_early, time_saved_ms)"
    " SELECT $1, nullif($2, ''), $3, $4::jsonb, $5, $6, $7, $8, $9, r.state, r.end_reason,"
    "  r.reason, 'epoch'::timestamptz + r.created_at * interval '1 microsecond',"
    "  'epoch'::timestamptz + r.ended_at * interval '1 microsecond', r.last_sequence,"
    "  r.last_sequence, r.running_ms, r.evaluations, r.evaluations_failed, r.evaluations_reused,"
    "  r.final_evaluations, r.proposals, r.proposals_failed, r.duplicates, r.tokens,"
    "  r.cost_micro_usd, r.gpu_time_ms, r.cpu_time_ms, r.best_variant, r.best_score, r.seed_score,"
    "  r.noise_deviation, r.evaluations_stopped_early, r.time_saved_ms"
    " FROM jsonb_to_record($10::jsonb) AS r (state text, end_reason text, reason text,"
    "  created_at bigint, ended_at bigint, last_sequence bigint, running_ms bigint,"
    "  evaluations bigint, evaluations_failed bigint, evaluations_reused bigint,"
    "  final_evaluations bigint, proposals bigint, proposals_failed bigint, duplicates bigint,"
    "  tokens bigint, cost_micro_usd bigint, gpu_time_ms bigint, cpu_time_ms bigint,"
    "  best_variant bigint, best_score double precision, seed_score double precision,"
    "  noise_deviation double precision, evaluations_stopped_early bigint,"
    "  time_saved_ms bigint)"
    " ON CONFLICT DO NOTHING RETURNING id";
constexpr const char* kImportEvents =
    "INSERT INTO event (campaign_id, sequence, created_at, type, is_input, variant, message,"
    " payload) SELECT $1::bigint, r.sequence,"
    " 'epoch'::timestamptz + r.created_at * interval '1 microsecond', r.type, r.is_input,"
    " r.variant, r.message, r.payload FROM jsonb_to_recordset($2::jsonb) AS r (sequence bigint,"
    "  created_at bigint, type text, is_input boolean, variant bigint, message text,"
    "  payload jsonb)";
constexpr const char* kImportVariants =
    "INSERT INTO variant (campaign_id, number, parents, proposal, operator, model, island,"
    " generation, duplicate_of, files, token_digest, source_tokens, rationale, created_at, state,"
    " outcome, metrics, score, confirmation, jump_score, second_score, settled_at)"
    " SELECT $1::bigint, r.number, ARRAY(SELECT jsonb_array_elements_text(r.parents)::bigint),"
    "  r.proposal, r.operator, r.model, r.island, r.generation, r.duplicate_of, r.files,"
    "  r.token_digest, r.source_tokens, r.rationale,"
    "  'epoch'::timestamptz + r.created_at * interval '1 microsecond', r.state, r.outcome,"
    "  r.metrics, r.score, r.confirmation, r.jump_score, r.second_score,"
    "  CASE WHEN r.state <> 'pending' THEN"
    "   'epoch'::timestamptz + r.created_at * interval '1 microsecond' END"
    " FROM jsonb_to_recordset($2::jsonb) AS r (number bigint, parents jsonb, proposal bigint,"
    "  operator text, model text, island integer, generation integer, duplicate_of bigint,"
    "  files jsonb, token_digest text, source_tokens bigint, rationale text, created_at bigint,"
    "  state text, outcome text, metrics jsonb, score double precision, confirmation text,"
    "  jump_score double precision, second_score double precision)";
constexpr const char* kImportEvaluations =
    "INSERT INTO evaluation (campaign_id, number, variant, split, seed, is_final,"
    " is_confirmation, outcome,"
    " metrics, diagnostics, log, timings_ms, cpu_time_ms, gpu_time_ms, memory_peak_bytes,"
    " result_key, behaviour_digest, is_cached, agent_name, attempts, evaluator,"
    " time_saved_ms, is_resumed, finished_at)"
    " SELECT $1::bigint, r.number, r.variant, r.split, r.seed::numeric, r.is_final,"
    "  r.is_confirmation, r.outcome,"
    "  r.metrics, r.diagnostics, r.log, r.timings_ms, r.cpu_time_ms, r.gpu_time_ms,"
    "  r.memory_peak_bytes, r.result_key, r.behaviour_digest, r.is_cached, r.agent_name,"
    "  r.attempts, r.evaluator, r.time_saved_ms, r.is_resumed,"
    "  'epoch'::timestamptz + r.finished_at * interval '1 microsecond'"
    " FROM jsonb_to_recordset($2::jsonb) AS r (number bigint, variant bigint, split text,"
    "  seed text, is_final boolean, is_confirmation boolean, outcome text, metrics jsonb,"
    "  diagnostics text, log text, timings_ms jsonb, cpu_time_ms bigint, gpu_time_ms bigint,"
    "  memory_peak_bytes bigint,"
    "  result_key text, behaviour_digest text, is_cached boolean, agent_name text,"
    "  attempts integer, evaluator text, time_saved_ms bigint, is_resumed boolean,"
    "  finished_at bigint)";
constexpr const char* kImportProposals =
    "INSERT INTO proposal (campaign_id, number, operator, parents, inspirations, failures, seed,"
    " variants, model, temperature, outcome, result_variants, rejections, agent_name)"
    " SELECT $1::bigint, r.number, r.operator,"
    "  ARRAY(SELECT jsonb_array_elements_text(r.parents)::bigint),"
    "  ARRAY(SELECT jsonb_array_elements_text(r.inspirations)::bigint),"
    "  ARRAY(SELECT jsonb_array_elements_text(r.failures)::bigint), r.seed::numeric, r.variants,"
    "  r.model, r.temperature, r.outcome, r.result_variants, r.rejections, r.agent_name"
    " FROM jsonb_to_recordset($2::jsonb) AS r (number bigint, operator text, parents jsonb,"
    "  inspirations jsonb, failures jsonb, seed text, variants integer, model text,"
    "  temperature double precision, outcome text, result_variants jsonb, rejections jsonb,"
    "  agent_name text)";

template <class Enum>
Json optional_word(const std::optional<Enum>& value) {
  return value ? Json(word(*value)) : Json(nullptr);
}

Json numbers_of(const std::vector<search::VariantNumber>& variants) {
  Json json = Json::array();
  for (const auto& variant : variants) json.push_back(variant.value);
  return json;
}

std::int64_t microseconds_of(Instant instant) { return instant.time_since_epoch().count(); }

Json optional_time(const std::optional<Instant>& instant) {
  return instant ? Json(microseconds_of(*instant)) : Json(nullptr);
}

Json row_of(const CampaignRecord& record) {
  const auto& used = record.consumption;
  return {{"state", word(record.state)},
          {"end_reason", word(record.end_reason)},
          {"reason", record.reason},
          {"created_at", microseconds_of(record.created_at)},
          {"ended_at", optional_time(record.ended_at)},
          {"last_sequence", record.last_sequence},
          {"running_ms", used.running_ms},
          {"evaluations", used.evaluations},
          {"evaluations_failed", used.evaluations_failed},
          {"evaluations_reused", used.evaluations_reused},
          {"evaluations_stopped_early", used.evaluations_stopped_early},
          {"time_saved_ms", used.time_saved_ms},
          {"final_evaluations", used.final_evaluations},
          {"proposals", used.proposals},
          {"proposals_failed", used.proposals_failed},
          {"duplicates", used.duplicates},
          {"tokens", used.tokens},
          {"cost_micro_usd", used.cost_micro_usd},
          {"gpu_time_ms", used.gpu_time_ms},
          {"cpu_time_ms", used.cpu_time_ms},
          {"best_variant", journal::optional_json(record.best_variant)},
          {"best_score", journal::optional_json(record.best_score)},
          {"seed_score", journal::optional_json(record.seed_score)},
          {"noise_deviation", journal::optional_json(record.noise_deviation)}};
}

Json row_of(const EventRecord& event) {
  return {{"sequence", event.sequence},
          {"created_at", microseconds_of(event.time)},
          {"type", event.type},
          {"is_input", journal::is_input(event.type)},
          {"variant", journal::optional_json(event.variant)},
          {"message", event.message},
          {"payload", Json::parse(event.json)}};
}

Json row_of(const journal::ImportedVariant& variant) {
  const auto& record = variant.record;
  return {{"number", record.number},
          {"parents", record.parents},
          {"proposal", journal::optional_json(variant.proposal)},
          {"operator", optional_word(record.operation)},
          {"model", record.model},
          {"island", journal::optional_json(record.island)},
          {"generation", record.generation},
          {"duplicate_of", journal::optional_json(record.duplicate_of)},
          {"files", to_json(record.files)},
          {"token_digest", variant.token_digest},
          {"source_tokens", variant.source_tokens},
          {"rationale", record.rationale},
          {"created_at", microseconds_of(record.created_at)},
          {"state", word(record.state)},
          {"outcome", optional_word(record.outcome)},
          {"metrics", record.metrics},
          {"score", journal::optional_json(record.score)},
          {"confirmation", record.jump_score ? Json(word(record.confirmation)) : Json(nullptr)},
          {"jump_score", journal::optional_json(record.jump_score)},
          {"second_score", journal::optional_json(record.second_score)}};
}

Json row_of(std::int64_t variant, const EvaluationRecord& record) {
  const EvaluationResult none;
  const auto& result = record.result ? *record.result : none;
  return {{"number", record.number},
          {"variant", variant},
          {"split", word(record.split)},
          {"seed", std::to_string(record.seed)},
          {"is_final", record.is_final},
          {"is_confirmation", record.is_confirmation},
          {"outcome", record.result ? Json(word(result.outcome)) : Json(nullptr)},
          {"metrics", result.metrics},
          {"diagnostics", result.diagnostics},
          {"log", result.log},
          {"timings_ms", result.timings_ms},
          {"cpu_time_ms", result.cpu_time_ms},
          {"gpu_time_ms", result.gpu_time_ms},
          {"memory_peak_bytes", result.memory_peak_bytes},
          {"result_key", result.result_key},
          {"behaviour_digest", result.behaviour_digest},
          {"is_cached", result.is_cached},
          {"agent_name", record.agent},
          {"attempts", record.attempts},
          {"evaluator", result.evaluator},
          {"time_saved_ms", result.time_saved_ms},
          {"is_resumed", result.is_resumed},
          {"finished_at", optional_time(record.finished_at)}};
}

Json row_of(const journal::ImportedProposal& proposal) {
  const auto& request = proposal.request;
  return {{"number", request.proposal.value},
          {"operator", word(request.operation)},
          {"parents", numbers_of(request.parents)},
          {"inspirations", numbers_of(request.inspirations)},
          {"failures", numbers_of(request.failures)},
          {"seed", std::to_string(request.seed)},
          {"variants", request.variants},
          {"model", request.model},
          {"temperature", journal::optional_json(request.temperature)},
          {"outcome", optional_word(proposal.outcome)},
          {"result_variants", to_json(proposal.variants)},
          {"rejections", proposal.rejections},
          {"agent_name", proposal.agent}};
}

/// Collects rows of one table and inserts some at a time.
class Rows {
 public:
  Rows(pqxx::work& transaction, std::int64_t campaign, const char* sql)
      : transaction_(transaction), campaign_(campaign), sql_(sql) {}

  void add(Json row) {
    rows_.push_back(std::move(row));
    if (rows_.size() == kRowsAtOnce) flush();
  }
  void flush() {
    if (!rows_.empty()) transaction_.exec(sql_, pqxx::params{campaign_, rows_.dump()});
    rows_ = Json::array();
  }

 private:
  pqxx::work& transaction_;
  std::int64_t campaign_;
  const char* sql_;
  Json rows_ = Json::array();
};

void insert_rows(pqxx::work& transaction, std::int64_t campaign, const CampaignArchive& archive,
                 const journal::Imported& imported) {
  Rows events(transaction, campaign, kImportEvents);
  for (const auto& event : archive.events) events.add(row_of(event));
  events.flush();
  Rows proposals(transaction, campaign, kImportProposals);
  for (const auto& proposal : imported.proposals) proposals.add(row_of(proposal));
  proposals.flush();
  Rows variants(transaction, campaign, kImportVariants);
  for (const auto& variant : imported.variants) variants.add(row_of(variant));
  variants.flush();
  Rows evaluations(transaction, campaign, kImportEvaluations);
  for (const auto& variant : imported.variants) {
    for (const auto& one : variant.record.evaluations) {
      evaluations.add(row_of(variant.record.number, one));
    }
  }
  evaluations.flush();
}

Status check_contents(pqxx::work& transaction, const CampaignDefinition& definition,
                      const journal::Imported& imported) {
  CAMBRIAN_TRY_STATUS(check_task(transaction, definition.task_digest));
  if (definition.started.seed_token_digest != imported.started.seed_token_digest ||
      definition.seed_files != imported.variants.front().record.files) {
    return fail(Errc::invalid_argument,
                "the export does not verify: the task has another seed program than the log");
  }
  std::set<std::string> digests;
  for (const auto& variant : imported.variants) {
    for (const auto& file : variant.record.files) digests.insert(file.sha256);
  }
  const auto missing =
      transaction.exec(kMissing, pqxx::params{text_array({digests.begin(), digests.end()})});
  if (missing.empty()) return {};
  return fail(Errc::not_found,
              "a source of the export is missing: sha256=" + missing[0][0].as<std::string>());
}

/// Gives the name of the campaign.
Result<std::string> store_archive(pqxx::work& transaction, CampaignDefinition definition,
                                  const CampaignArchive& archive, const std::string& request_id) {
  if (!request_id.empty()) {
    const auto rows = transaction.exec(kFindByRequest, pqxx::params{request_id});
    if (!rows.empty()) return rows[0][0].as<std::string>();
  }
  CAMBRIAN_TRY(const auto imported, journal::verify(archive));
  CAMBRIAN_TRY_STATUS(check_contents(transaction, definition, imported));
  definition.settings = imported.settings;
  const auto& objective = definition.settings.objectives.front();
  const auto inserted = transaction.exec(
      kImportCampaign,
      pqxx::params{definition.name, request_id, pqxx::binary_cast(definition.spec),
                   to_json(definition).dump(), definition.task_digest, definition.task_name,
                   objective.metric, objective.goal == search::Goal::maximize, definition.priority,
                   row_of(archive.record).dump()});
  if (inserted.empty()) {
    // Somebody else was faster: the statement has waited for their commit.
    const auto rows = transaction.exec(kFindByRequest, pqxx::params{request_id});
    if (!rows.empty()) return rows[0][0].as<std::string>();
    return fail(Errc::already_exists, "there is a campaign of this name: name=" + definition.name);
  }
  insert_rows(transaction, inserted[0][0].as<std::int64_t>(), archive, imported);
  return definition.name;
}

}  // namespace

awaitable<Result<CampaignRecord>> PostgresImportStore::import_campaign(
    CampaignDefinition definition, CampaignArchive archive, std::string request_id) {
  auto body = [definition = std::move(definition), archive = std::move(archive),
               request_id = std::move(request_id)](pqxx::work& transaction) {
    return store_archive(transaction, definition, archive, request_id);
  };
  // On the blobs' threads: nobody's heartbeat waits while a long log is repeated.
  CAMBRIAN_CO_TRY(const auto name,
                  co_await database_.run(Lane::blob, "campaign_import", std::move(body)));
  co_return co_await PostgresCampaignStore(database_).get(name);
}

}  // namespace cambrian::coordinator::postgres
