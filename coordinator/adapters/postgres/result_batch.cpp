#include "coordinator/adapters/postgres/result_batch.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

#include "coordinator/adapters/postgres/model_calls.hpp"
#include "coordinator/adapters/postgres/result_reuse.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kLockCampaigns =
    "SELECT id, last_sequence FROM campaign WHERE id = ANY(ARRAY("
    "  SELECT campaign_id FROM work_item WHERE id = ANY($1::bigint[])))"
    " ORDER BY id FOR NO KEY UPDATE";
constexpr const char* kLockItems =
    "SELECT l.place, w.id, w.campaign_id, w.kind, w.number, w.state, w.epoch,"
    " coalesce(w.agent_id, ''), coalesce(a.agent_id, ''), coalesce(a.agent_name, ''),"
    " a.ended_at IS NULL, e.variant, e.is_final, e.split, coalesce(e.content_key, '') <> '',"
    " w.other_than IS NOT NULL, coalesce(a.agent_name = ANY(w.other_than), false),"
    " coalesce(e.is_control, false)"
    " FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS l (item, epoch, place)"
    " JOIN work_item w ON w.id = l.item"
    " LEFT JOIN attempt a ON a.item_id = l.item AND a.epoch = l.epoch"
    " LEFT JOIN evaluation e ON w.kind = 'evaluation' AND e.campaign_id = w.campaign_id"
    "  AND e.number = w.number ORDER BY w.id, l.place FOR UPDATE OF w";
constexpr const char* kStoreEvaluations =
    "WITH r AS MATERIALIZED (SELECT * FROM json_to_recordset($1::json) AS r (item bigint,"
    "  epoch bigint, campaign bigint, number bigint, outcome text, metrics jsonb,"
    "  diagnostics text, log text, timings_ms jsonb, cpu_time_ms bigint, gpu_time_ms bigint,"
    "  memory_peak_bytes bigint, result_key text, behaviour_digest text, is_cached boolean,"
    "  agent_name text, evaluator text, time_saved_ms bigint, is_resumed boolean)),"
    " attempts AS (UPDATE attempt a SET ended_at = now(), outcome = 'finished',"
    "  is_counted = true, cpu_time_ms = r.cpu_time_ms, gpu_time_ms = r.gpu_time_ms"
    "  FROM r WHERE a.item_id = r.item AND a.epoch = r.epoch),"
    " items AS (UPDATE work_item w SET state = 'done' FROM r WHERE w.id = r.item),"
    " stored AS (UPDATE evaluation e SET outcome = r.outcome, metrics = r.metrics,"
    "  diagnostics = r.diagnostics, log = r.log, timings_ms = r.timings_ms,"
    "  cpu_time_ms = r.cpu_time_ms, gpu_time_ms = r.gpu_time_ms,"
    "  memory_peak_bytes = r.memory_peak_bytes, result_key = r.result_key,"
    "  behaviour_digest = r.behaviour_digest, is_cached = r.is_cached,"
    "  agent_name = r.agent_name, attempts = r.epoch, evaluator = r.evaluator,"
    "  time_saved_ms = r.time_saved_ms, is_resumed = r.is_resumed,"
    "  finished_at = now() FROM r WHERE e.campaign_id = r.campaign AND e.number = r.number"
    "  AND e.outcome IS NULL RETURNING 1)"
    " SELECT count(*) FROM stored";
constexpr const char* kStoreProposals =
    "WITH r AS MATERIALIZED (SELECT * FROM json_to_recordset($1::json) AS r (item bigint,"
    "  epoch bigint, campaign bigint, number bigint, outcome text, variants jsonb,"
    "  rejections jsonb, agent_name text, model text, tokens bigint, cost_micro_usd bigint,"
    "  settled_tokens bigint)),"
    " attempts AS (UPDATE attempt a SET ended_at = now(), outcome = 'finished',"
    "  is_counted = true, tokens = r.tokens, cost_micro_usd = r.cost_micro_usd"
    "  FROM r WHERE a.item_id = r.item AND a.epoch = r.epoch),"
    " items AS (UPDATE work_item w SET state = 'done' FROM r WHERE w.id = r.item),"
    " calls AS (DELETE FROM open_call o USING r WHERE o.item_id = r.item AND o.epoch = r.epoch"
    "  RETURNING o.item_id, o.limit_group, o.ended_at IS NULL AS is_open,"
    "  o.prompt_tokens + o.completion_tokens AS tokens, r.settled_tokens AS used),"
    // Of calls whose end the report tells: what was reserved and is not used. Groups without limits
    // have no row.
    " unused AS (SELECT l.limit_group, sum(c.tokens)::bigint AS tokens FROM ("
    "  SELECT max(limit_group) FILTER (WHERE is_open) AS limit_group, sum(tokens) - max(used)"
    "   AS tokens FROM calls GROUP BY item_id) c JOIN call_limit l USING (limit_group)"
    "  WHERE c.tokens <> 0 GROUP BY l.limit_group),"
    " stored AS (UPDATE proposal p SET outcome = r.outcome, result_variants = r.variants,"
    "  rejections = r.rejections, agent_name = r.agent_name,"
    "  model = coalesce(nullif(r.model, ''), p.model), finished_at = now()"
    "  FROM r WHERE p.campaign_id = r.campaign AND p.number = r.number"
    "  AND p.outcome IS NULL RETURNING 1)"
    " SELECT (SELECT count(*) FROM stored), (SELECT jsonb_object_agg(limit_group, tokens)"
    "  FROM unused)";
constexpr const char* kCountResults =
    "UPDATE campaign c SET last_sequence = g.last_sequence, evaluations = c.evaluations"
    "  + g.evaluations, evaluations_failed = c.evaluations_failed + g.evaluations_failed,"
    " final_evaluations = c.final_evaluations + g.final_evaluations,"
    " proposals = c.proposals + g.proposals,"
    " proposals_failed = c.proposals_failed + g.proposals_failed, tokens = c.tokens + g.tokens,"
    " cost_micro_usd = c.cost_micro_usd + g.cost_micro_usd,"
    " gpu_time_ms = c.gpu_time_ms + g.gpu_time_ms, cpu_time_ms = c.cpu_time_ms + g.cpu_time_ms,"
    " evaluations_stopped_early = c.evaluations_stopped_early + g.evaluations_stopped_early,"
    " time_saved_ms = c.time_saved_ms + g.time_saved_ms"
    " FROM json_to_recordset($1::json) AS g (id bigint, last_sequence bigint,"
    "  evaluations bigint, evaluations_failed bigint, final_evaluations bigint, proposals bigint,"
    "  proposals_failed bigint, tokens bigint, cost_micro_usd bigint, gpu_time_ms bigint,"
    "  cpu_time_ms bigint, evaluations_stopped_early bigint, time_saved_ms bigint)"
    " WHERE c.id = g.id";

/// What a campaign's row gets.
struct Tally {
  std::int64_t last_sequence = 0;
  bool is_changed = false;
  std::int64_t evaluations = 0;
  std::int64_t evaluations_failed = 0;
  std::int64_t final_evaluations = 0;
  std::int64_t proposals = 0;
  std::int64_t proposals_failed = 0;
  Cost cost;
  std::int64_t evaluations_stopped_early = 0;
  std::int64_t time_saved_ms = 0;
};

/// One transaction's results.
class ResultBatch {
 public:
  ResultBatch(pqxx::work& transaction, const std::vector<WorkReport>& reports)
      : transaction_(transaction), reports_(reports), states_(reports.size()) {}

  std::vector<std::optional<FinishState>> store() {
    std::vector<std::int64_t> items;
    std::vector<std::int64_t> epochs;
    for (const auto& report : reports_) {
      items.push_back(report.lease.item.value);
      epochs.push_back(report.lease.epoch);
    }
    for (const auto& row :
         execute(transaction_, kLockCampaigns, pqxx::params{number_array(items)})) {
      tallies_[row[0].as<std::int64_t>()].last_sequence = row[1].as<std::int64_t>();
    }
    for (const auto& row : execute(transaction_, kLockItems,
                                   pqxx::params{number_array(items), number_array(epochs)})) {
      take(row);
    }
    if (!evaluations_.empty() || !proposals_.empty()) write();
    return std::move(states_);
  }

 private:
  /// Takes the report whose item the row is, if its result counts.
  void take(const pqxx::row& row) {
    const auto place = row[0].as<std::size_t>() - 1;
    const auto& report = reports_[place];
    const LockedItem item{.id = ItemId{row[1].as<std::int64_t>()},
                          .campaign = CampaignId{row[2].as<std::int64_t>()},
                          .kind = known_word<WorkKind>(row[3].view()),
                          .number = row[4].as<std::int64_t>(),
                          .state = row[5].as<std::string>(),
                          .epoch = row[6].as<std::int64_t>(),
                          .agent_id = row[7].as<std::string>()};
    const bool is_evaluation = std::holds_alternative<EvaluationResult>(report.result);
    const bool is_open = row[8].view() == report.agent_id && row[10].as<bool>();
    if (is_evaluation != (item.kind == WorkKind::evaluation) || is_infrastructure(report) ||
        !is_open || !item.is_leased_as(report.lease, report.agent_id) ||
        !taken_.insert(item.id).second) {
      return;
    }
    if (const auto* proposal = std::get_if<ProposalResult>(&report.result)) {
      add(item, *proposal, row[9].as<std::string>());
    } else {
      const auto& result = std::get<EvaluationResult>(report.result);
      add(item,
          {.evaluation = {item.number},
           .variant = {row[11].as<std::int64_t>()},
           .split = known_word<search::Split>(row[13].view()),
           .is_final = row[12].as<bool>()},
          result, row);
      if (row[14].as<bool>()) {
        notes_.push_back({item.campaign, item.number, item.agent_id, &result});
      }
    }
    states_[place] = FinishState{.verdict = Verdict::accepted, .campaign = item.campaign};
  }

  void add(const LockedItem& item, const search::RequestEvaluation& request,
           const EvaluationResult& result, const pqxx::row& row) {
    const auto agent_name = row[9].as<std::string>();
    std::optional<Confirming> confirming;
    if (row[15].as<bool>()) confirming = Confirming{.is_same_worker = row[16].as<bool>()};
    const bool is_control = row[17].as<bool>();
    if (is_control) {
      add_control_cost(item, result, agent_name);
    } else {
      auto& tally = append(item, evaluation_event(request, result, agent_name, confirming));
      const bool is_stopped_early = result.outcome == search::Outcome::stopped_early;
      const bool has_failed = result.outcome != search::Outcome::success && !is_stopped_early;
      tally.evaluations += request.is_final ? 0 : 1;
      tally.evaluations_failed += !request.is_final && has_failed ? 1 : 0;
      tally.final_evaluations += request.is_final ? 1 : 0;
      tally.cost.gpu_time_ms += result.gpu_time_ms;
      tally.cost.cpu_time_ms += result.cpu_time_ms;
      tally.evaluations_stopped_early += !request.is_final && is_stopped_early ? 1 : 0;
      tally.time_saved_ms += result.time_saved_ms;
    }
    evaluations_.push_back({{"item", item.id.value},
                            {"epoch", item.epoch},
                            {"campaign", item.campaign.value},
                            {"number", item.number},
                            {"outcome", word(result.outcome)},
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
                            {"agent_name", agent_name},
                            {"evaluator", result.evaluator},
                            {"time_saved_ms", result.time_saved_ms},
                            {"is_resumed", result.is_resumed}});
  }

  /// A control is paid for by its campaign, and no evaluation of the search.
  void add_control_cost(const LockedItem& item, const EvaluationResult& result,
                        const std::string& agent_name) {
    auto& tally = result.gpu_time_ms > 0
                      ? append(item, charge_event(item, {.gpu_time_ms = result.gpu_time_ms},
                                                  "control", agent_name))
                      : tallies_.at(item.campaign.value);
    tally.is_changed = true;
    tally.cost.gpu_time_ms += result.gpu_time_ms;
    tally.cost.cpu_time_ms += result.cpu_time_ms;
  }

  void add(const LockedItem& item, const ProposalResult& result, const std::string& agent_name) {
    const auto cost = cost_of(result);
    auto& tally = append(item, proposal_event({item.number}, result, agent_name));
    tally.proposals += 1;
    tally.proposals_failed += result.variants.empty() ? 1 : 0;
    tally.cost.tokens += cost.tokens;
    tally.cost.cost_micro_usd += cost.cost_micro_usd;
    proposals_.push_back({{"item", item.id.value},
                          {"epoch", item.epoch},
                          {"campaign", item.campaign.value},
                          {"number", item.number},
                          {"outcome", word(result.outcome)},
                          {"variants", to_json(result.variants)},
                          {"rejections", result.rejections},
                          {"agent_name", agent_name},
                          {"model", result.calls.empty() ? "" : result.calls.back().model},
                          {"tokens", cost.tokens},
                          {"cost_micro_usd", cost.cost_micro_usd},
                          {"settled_tokens", settled_tokens(result)}});
    add_calls(calls_, item, item.epoch, result.calls, true);
  }

  Tally& append(const LockedItem& item, StoredEvent event) {
    auto& tally = tallies_.at(item.campaign.value);
    tally.is_changed = true;
    events_.push_back({item.campaign, ++tally.last_sequence, std::move(event)});
    return tally;
  }

  /// What its calls took, for their limits: null where one failed, for that counts at providers as
  /// what was asked for.
  static Json settled_tokens(const ProposalResult& result) {
    const auto has_failed = [](const ModelCall& call) { return call.finish_reason == "error"; };
    return std::ranges::any_of(result.calls, has_failed) ? Json() : Json(cost_of(result).tokens);
  }

  void store(const char* sql, const Json& rows) {
    if (rows.empty()) return;
    const auto row = execute(transaction_, sql, pqxx::params{rows.dump()}).one_row();
    if (row.size() > 1 && !row[1].is_null()) {
      give_back_tokens(transaction_, json_of(row[1]).get<std::map<std::string, std::int64_t>>());
    }
    const auto stored = row[0].as<std::size_t>();
    if (stored != rows.size()) {
      throw std::logic_error("an item that was leased has a result: stored=" +
                             std::to_string(stored) + " of=" + std::to_string(rows.size()));
    }
  }

  void write() {
    store(kStoreEvaluations, evaluations_);
    store(kStoreProposals, proposals_);
    insert_calls(transaction_, calls_);
    insert_events(transaction_, events_);
    Json counts = Json::array();
    for (const auto& [campaign, tally] : tallies_) {
      if (!tally.is_changed) continue;
      counts.push_back({{"id", campaign},
                        {"last_sequence", tally.last_sequence},
                        {"evaluations", tally.evaluations},
                        {"evaluations_failed", tally.evaluations_failed},
                        {"final_evaluations", tally.final_evaluations},
                        {"proposals", tally.proposals},
                        {"proposals_failed", tally.proposals_failed},
                        {"tokens", tally.cost.tokens},
                        {"cost_micro_usd", tally.cost.cost_micro_usd},
                        {"gpu_time_ms", tally.cost.gpu_time_ms},
                        {"cpu_time_ms", tally.cost.cpu_time_ms},
                        {"evaluations_stopped_early", tally.evaluations_stopped_early},
                        {"time_saved_ms", tally.time_saved_ms}});
    }
    execute(transaction_, kCountResults, pqxx::params{counts.dump()});
    note_results(transaction_, notes_);
  }

  pqxx::work& transaction_;
  const std::vector<WorkReport>& reports_;
  std::vector<std::optional<FinishState>> states_;
  std::map<std::int64_t, Tally> tallies_;  // By campaign.
  std::set<ItemId> taken_;
  // Rows of the tables, as they are to be written.
  Json evaluations_ = Json::array();
  Json proposals_ = Json::array();
  Json calls_ = Json::array();
  std::vector<LoggedEvent> events_;
  std::vector<NotedResult> notes_;
};

}  // namespace

bool is_infrastructure(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return evaluation->outcome == search::Outcome::infrastructure;
  }
  return std::get<ProposalResult>(report.result).outcome == ProposalOutcome::infrastructure;
}

std::vector<std::optional<FinishState>> store_results(pqxx::work& transaction,
                                                      const std::vector<WorkReport>& reports) {
  return ResultBatch(transaction, reports).store();
}

}  // namespace cambrian::coordinator::postgres
