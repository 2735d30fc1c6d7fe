#include <algorithm>
#include <map>

#include "common/base/assert.hpp"
#include "common/digest/sha256.hpp"
#include "coordinator/adapters/postgres/content_store.hpp"
#include "coordinator/adapters/postgres/model_calls.hpp"
#include "coordinator/adapters/postgres/result_batch.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kFindAttempt =
    "SELECT agent_id, agent_name, coalesce(outcome, ''), gpu_time_ms, tokens, cost_micro_usd"
    " FROM attempt"
    " WHERE item_id = $1 AND epoch = $2";
constexpr const char* kNoteCost =
    "UPDATE attempt SET cpu_time_ms = $3, gpu_time_ms = $4, tokens = $5, cost_micro_usd = $6"
    " WHERE item_id = $1 AND epoch = $2";
constexpr const char* kNoteStale =
    "UPDATE attempt SET stale_report_at = now(), cpu_time_ms = $3, gpu_time_ms = $4, tokens = $5,"
    " cost_micro_usd = $6 WHERE item_id = $1 AND epoch = $2 AND agent_id = $7"
    " AND stale_report_at IS NULL";
constexpr const char* kForgetOpenCalls = "DELETE FROM open_call WHERE item_id = $1 AND epoch = $2";
// What was stored when the attempt ended without a report.
constexpr const char* kForgetGuesses =
    "DELETE FROM model_call WHERE campaign_id = $1 AND item_id = $2 AND epoch = $3"
    " AND NOT is_counted";

Cost cost_of_report(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return {.cpu_time_ms = evaluation->cpu_time_ms, .gpu_time_ms = evaluation->gpu_time_ms};
  }
  return cost_of(std::get<ProposalResult>(report.result));
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
  Json rows = Json::array();
  add_calls(rows, item, lease.epoch, proposal->calls, is_counted);
  insert_calls(transaction, rows);
}

std::string evidence_of(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return evaluation->diagnostics;
  }
  const auto& rejections = std::get<ProposalResult>(report.result).rejections;
  return rejections.empty() ? std::string() : rejections.front();
}

/// Of an attempt that failed by its agent's fault: results are stored before, all together.
Verdict accept_failure(pqxx::work& transaction, LockedItem& item, const WorkReport& report,
                       const std::string& agent_name) {
  const auto cost = cost_of_report(report);
  store_calls(transaction, item, report, true);
  execute(transaction, kNoteCost, lease_and_cost(report.lease, cost));
  charge(transaction, item, cost, "infrastructure", agent_name);
  const auto after =
      end_attempt(transaction, item, AttemptEnd::infrastructure, evidence_of(report));
  return after == AfterEnd::ready ? Verdict::retried : Verdict::accepted;
}

/// The result does not count, what it took does; less what was charged when the attempt ended
/// without a report.
Verdict refuse(pqxx::work& transaction, const LockedItem& item, const WorkReport& report,
               const pqxx::row& attempt) {
  auto cost = cost_of_report(report);
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
  if (!item->is_leased_as(report.lease, report.agent_id)) {
    state.verdict = refuse(transaction, *item, report, attempts[0]);
    return state;
  }
  CAMBRIAN_ASSERT(is_infrastructure(report));
  state.verdict = accept_failure(transaction, *item, report, attempts[0][1].as<std::string>());
  return state;
}

/// Whatever becomes of the reports: what calls answered has been paid for. Before anything is
/// locked, as other transactions store contents and lock nothing.
void store_contents(pqxx::work& transaction, const std::vector<WorkReport>& reports) {
  std::map<std::string, std::string> contents;
  for (const auto& report : reports) {
    const auto* proposal = std::get_if<ProposalResult>(&report.result);
    if (proposal == nullptr) continue;
    for (const auto& content : proposal->contents) contents[sha256_hex(content)] = content;
  }
  put_blobs(transaction, contents);
}

Result<std::vector<FinishState>> finish_items(pqxx::work& transaction,
                                              const std::vector<WorkReport>& reports) {
  store_contents(transaction, reports);
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
  return states;
}

}  // namespace

awaitable<Result<std::vector<FinishState>>> PostgresWorkStore::finish_all(
    std::vector<WorkReport> reports) {
  std::vector<std::string> agents;
  for (const auto& report : reports) agents.push_back(report.agent_id);
  auto body = [reports = std::move(reports)](pqxx::work& transaction) {
    return finish_items(transaction, reports);
  };
  CAMBRIAN_CO_TRY(auto states, co_await database_.run(Lane::result, "finish", std::move(body)));
  for (std::size_t i = 0; i < agents.size(); ++i) {
    const auto verdict = states[i].verdict;
    if (verdict == Verdict::accepted || verdict == Verdict::retried) ++finished_[agents[i]];
  }
  co_return std::move(states);
}

awaitable<Result<FinishState>> PostgresWorkStore::finish(WorkReport report) {
  return finishes_.ask(std::move(report));
}

}  // namespace cambrian::coordinator::postgres
