#include <algorithm>
#include <map>

#include "coordinator/adapters/postgres/result_batch.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kFindAttempt =
    "SELECT agent_id, agent_name, coalesce(outcome, ''), gpu_time_ms, tokens, cost_micro_usd"
    " FROM attempt"
    " WHERE item_id = $1 AND epoch = $2";
constexpr const char* kFinishAttempt =
    "UPDATE attempt SET ended_at = now(), outcome = 'finished', is_counted = true,"
    " cpu_time_ms = $3, gpu_time_ms = $4, tokens = $5, cost_micro_usd = $6"
    " WHERE item_id = $1 AND epoch = $2";
constexpr const char* kNoteCost =
    "UPDATE attempt SET cpu_time_ms = $3, gpu_time_ms = $4, tokens = $5, cost_micro_usd = $6"
    " WHERE item_id = $1 AND epoch = $2";
constexpr const char* kNoteStale =
    "UPDATE attempt SET stale_report_at = now(), cpu_time_ms = $3, gpu_time_ms = $4, tokens = $5,"
    " cost_micro_usd = $6 WHERE item_id = $1 AND epoch = $2 AND agent_id = $7"
    " AND stale_report_at IS NULL";
// In the order of the ids, as heartbeats note them.
constexpr const char* kCountAttempts =
    "UPDATE agent a SET attempts_finished = a.attempts_finished + s.finished FROM ("
    "  SELECT o.agent_id, g.finished FROM agent o"
    "  JOIN unnest($1::text[], $2::bigint[]) AS g (agent_id, finished) USING (agent_id)"
    "  ORDER BY o.agent_id FOR NO KEY UPDATE OF o) s WHERE a.agent_id = s.agent_id";
constexpr const char* kForgetOpenCalls = "DELETE FROM open_call WHERE item_id = $1 AND epoch = $2";
// What was stored when the attempt ended without a report.
constexpr const char* kForgetGuesses =
    "DELETE FROM model_call WHERE campaign_id = $1 AND item_id = $2 AND epoch = $3"
    " AND NOT is_counted";
constexpr const char* kInsertCall =
    "INSERT INTO model_call (campaign_id, proposal, item_id, epoch, model, endpoint,"
    " prompt_tokens, completion_tokens, cost_micro_usd, latency_ms, time_to_first_token_ms,"
    " retries, finish_reason, prompt_digest, answer_digest, is_outcome_unknown, is_counted,"
    " cached_prompt_tokens, reasoning_tokens, request_id) VALUES"
    " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";

Cost cost_of(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return {.cpu_time_ms = evaluation->cpu_time_ms, .gpu_time_ms = evaluation->gpu_time_ms};
  }
  Cost cost;
  for (const auto& call : std::get<ProposalResult>(report.result).calls) {
    cost.tokens += call.prompt_tokens + call.completion_tokens;
    cost.cost_micro_usd += call.cost_micro_usd;
  }
  return cost;
}

pqxx::params lease_and_cost(const Lease& lease, const Cost& cost) {
  return pqxx::params{lease.item.value, lease.epoch, cost.cpu_time_ms,
                      cost.gpu_time_ms, cost.tokens, cost.cost_micro_usd};
}

void store_calls(pqxx::work& transaction, const LockedItem& item, const WorkReport& report,
                 bool is_counted) {
  const auto* proposal = std::get_if<ProposalResult>(&report.result);
  if (proposal == nullptr) return;
  const auto& lease = report.lease;
  execute(transaction, kForgetOpenCalls, pqxx::params{lease.item.value, lease.epoch});
  if (!is_counted) {
    execute(transaction, kForgetGuesses,
            pqxx::params{item.campaign.value, lease.item.value, lease.epoch});
  }
  for (const auto& call : proposal->calls) {
    std::optional<std::int64_t> first_token;
    if (call.time_to_first_token) first_token = call.time_to_first_token->count();
    execute(transaction, kInsertCall,
            pqxx::params{item.campaign.value,
                         item.number,
                         item.id.value,
                         report.lease.epoch,
                         call.model,
                         call.endpoint,
                         call.prompt_tokens,
                         call.completion_tokens,
                         call.cost_micro_usd,
                         call.latency.count(),
                         first_token,
                         call.retries,
                         call.finish_reason,
                         call.prompt_digest,
                         call.answer_digest,
                         call.is_outcome_unknown,
                         is_counted,
                         call.cached_prompt_tokens,
                         call.reasoning_tokens,
                         call.request_id});
  }
}

std::string evidence_of(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return evaluation->diagnostics;
  }
  const auto& rejections = std::get<ProposalResult>(report.result).rejections;
  return rejections.empty() ? std::string() : rejections.front();
}

/// Of a proposal, or of an evaluation that failed by its worker's fault: other results of
/// evaluations are stored before, all together.
Verdict accept(pqxx::work& transaction, LockedItem& item, const WorkReport& report,
               const std::string& agent_name) {
  const auto cost = cost_of(report);
  store_calls(transaction, item, report, true);
  if (is_infrastructure(report)) {
    execute(transaction, kNoteCost, lease_and_cost(report.lease, cost));
    charge(transaction, item, cost, "infrastructure", agent_name);
    const auto after =
        end_attempt(transaction, item, AttemptEnd::infrastructure, evidence_of(report));
    return after == AfterEnd::ready ? Verdict::retried : Verdict::accepted;
  }
  execute(transaction, kFinishAttempt, lease_and_cost(report.lease, cost));
  conclude_proposal(transaction, item, std::get<ProposalResult>(report.result), agent_name);
  return Verdict::accepted;
}

/// The result does not count, what it took does; less what was charged when the attempt ended
/// without a report.
Verdict refuse(pqxx::work& transaction, const LockedItem& item, const WorkReport& report,
               const pqxx::row& attempt) {
  auto cost = cost_of(report);
  auto parameters = lease_and_cost(report.lease, cost);
  parameters.append(report.agent_id);
  if (execute(transaction, kNoteStale, parameters).affected_rows() == 0) return Verdict::stale;
  store_calls(transaction, item, report, false);
  const auto not_yet_charged = [&attempt](std::int64_t used, pqxx::row::size_type column) {
    return std::max<std::int64_t>(0, used - attempt[column].as<std::int64_t>());
  };
  cost.gpu_time_ms = not_yet_charged(cost.gpu_time_ms, 3);
  cost.tokens = not_yet_charged(cost.tokens, 4);
  cost.cost_micro_usd = not_yet_charged(cost.cost_micro_usd, 5);
  charge(transaction, item, cost, "reported when its lease was gone", attempt[1].as<std::string>());
  return Verdict::stale;
}

Result<FinishState> finish_item(pqxx::work& transaction, const WorkReport& report) {
  auto item = lock_item(transaction, report.lease.item);
  if (!item) return FinishState{};
  FinishState state{.verdict = Verdict::stale, .campaign = item->campaign};
  const bool is_evaluation = std::holds_alternative<EvaluationResult>(report.result);
  if (is_evaluation != (item->kind == WorkKind::evaluation)) {
    return fail(Errc::invalid_argument,
                "the item is of the other kind: item=" + std::to_string(item->id.value));
  }
  const auto attempts =
      execute(transaction, kFindAttempt, pqxx::params{report.lease.item.value, report.lease.epoch});
  if (attempts.empty() || attempts[0][0].view() != report.agent_id) return state;
  const auto ended = attempts[0][2].as<std::string>();
  if (ended == "finished" || ended == "infrastructure") {
    state.verdict = Verdict::repeated;
    return state;
  }
  state.verdict = item->is_leased_as(report.lease, report.agent_id)
                      ? accept(transaction, *item, report, attempts[0][1].as<std::string>())
                      : refuse(transaction, *item, report, attempts[0]);
  return state;
}

void count_attempts(pqxx::work& transaction, const std::vector<WorkReport>& reports,
                    const std::vector<FinishState>& states) {
  std::map<std::string, std::int64_t> finished;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const auto verdict = states[i].verdict;
    if (verdict == Verdict::accepted || verdict == Verdict::retried) {
      ++finished[reports[i].agent_id];
    }
  }
  if (finished.empty()) return;
  std::vector<std::string> agents;
  std::vector<std::int64_t> counts;
  for (const auto& [agent, count] : finished) {
    agents.push_back(agent);
    counts.push_back(count);
  }
  execute(transaction, kCountAttempts, pqxx::params{text_array(agents), number_array(counts)});
}

Result<std::vector<FinishState>> finish_items(pqxx::work& transaction,
                                              const std::vector<WorkReport>& reports) {
  const auto stored = store_results(transaction, reports);
  std::vector<FinishState> states;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    if (stored[i]) {
      states.push_back(*stored[i]);
      continue;
    }
    CAMBRIAN_TRY(const auto state, finish_item(transaction, reports[i]));
    states.push_back(state);
  }
  count_attempts(transaction, reports, states);
  return states;
}

}  // namespace

awaitable<Result<std::vector<FinishState>>> PostgresWorkStore::finish_all(
    std::vector<WorkReport> reports) {
  auto body = [reports = std::move(reports)](pqxx::work& transaction) {
    return finish_items(transaction, reports);
  };
  co_return co_await database_.run(Lane::result, "finish", std::move(body));
}

awaitable<Result<FinishState>> PostgresWorkStore::finish(WorkReport report) {
  return finishes_.ask(std::move(report));
}

}  // namespace cambrian::coordinator::postgres
