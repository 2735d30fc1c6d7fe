#include "coordinator/adapters/postgres/item_end.hpp"

#include <algorithm>

namespace cambrian::coordinator::postgres {
namespace {

constexpr const char* kFindCampaign = "SELECT campaign_id FROM work_item WHERE id = $1";
constexpr const char* kLockItem =
    "SELECT kind, number, state, epoch, coalesce(agent_id, ''), worker_faults, losses"
    " FROM work_item WHERE id = $1 FOR UPDATE";
// A report has said what GPU time it took. Of the others, one that was lost was last heard of at
// its last renewal, and one that its agent never knew of took none.
constexpr const char* kEndAttempt =
    "UPDATE attempt a SET ended_at = now(), outcome = $3, evidence = $4, gpu_time_ms = CASE $3"
    " WHEN 'infrastructure' THEN a.gpu_time_ms WHEN 'dropped' THEN 0 ELSE greatest(0, w.gpus * 1000"
    " * extract(epoch FROM CASE $3 WHEN 'lost' THEN w.renewed_at ELSE now() END - a.started_at)"
    ")::bigint END FROM work_item w WHERE w.id = a.item_id AND a.item_id = $1 AND a.epoch = $2"
    " RETURNING a.gpu_time_ms, a.agent_name";
// A call that has not ended is charged the most that it may have taken.
constexpr const char* kTakeOpenCalls =
    "WITH gone AS (DELETE FROM open_call WHERE item_id = $1 AND epoch = $2 RETURNING *),"
    " noted AS (INSERT INTO model_call (campaign_id, proposal, item_id, epoch, model, endpoint,"
    "  prompt_tokens, completion_tokens, cost_micro_usd, latency_ms, retries, finish_reason,"
    "  prompt_digest, answer_digest, is_outcome_unknown, is_counted, cached_prompt_tokens,"
    "  reasoning_tokens, request_id)"
    "  SELECT $3::bigint, $4::bigint, item_id, epoch, model, endpoint, prompt_tokens,"
    "   completion_tokens, cost_micro_usd, (extract(epoch FROM"
    "   coalesce(ended_at, clock_timestamp()) - started_at) * 1000)::bigint, 0,"
    "   finish_reason, prompt_digest, '', is_outcome_unknown, false,"
    "  cached_prompt_tokens, reasoning_tokens, request_id FROM gone)"
    " SELECT coalesce(sum(prompt_tokens + completion_tokens), 0)::bigint,"
    "  coalesce(sum(cost_micro_usd), 0)::bigint FROM gone";
constexpr const char* kAddCost =
    "UPDATE attempt SET tokens = tokens + $3, cost_micro_usd = cost_micro_usd + $4"
    " WHERE item_id = $1 AND epoch = $2";
constexpr const char* kCharge =
    "UPDATE campaign SET tokens = tokens + $2, cost_micro_usd = cost_micro_usd + $3,"
    " gpu_time_ms = gpu_time_ms + $4, cpu_time_ms = cpu_time_ms + $5 WHERE id = $1";
// What a proposal may still use, of the tokens and the money that were reserved for it: a call of
// the model needs a token more than its answer has at most.
constexpr const char* kIsUsedUp =
    "SELECT (s.tokens > 0 AND s.tokens - used.tokens <= s.output_tokens)"
    " OR (s.cost > 0 AND s.cost <= used.cost)"
    " FROM work_item w CROSS JOIN LATERAL (SELECT"
    "  (c.definition -> 'settings' ->> 'tokens_reserved')::bigint AS tokens,"
    "  (c.definition ->> 'output_tokens')::bigint AS output_tokens,"
    "  (c.definition -> 'settings' ->> 'cost_reserved_micro_usd')::bigint AS cost"
    "  FROM campaign c WHERE c.id = w.campaign_id) s"
    " CROSS JOIN LATERAL (SELECT coalesce(sum(a.tokens), 0) AS tokens,"
    "  coalesce(sum(a.cost_micro_usd), 0) AS cost FROM attempt a WHERE a.item_id = w.id) used"
    " WHERE w.id = $1";
constexpr const char* kMakeReady =
    "UPDATE work_item SET state = 'ready', agent_id = NULL, renewed_at = NULL,"
    " lease_expires_at = NULL, attempt_deadline = NULL, worker_faults = $2, losses = $3,"
    " checkpoint = CASE WHEN $5 THEN checkpoint END,"
    " not_before = now() + $4 * interval '1 millisecond' WHERE id = $1";
constexpr const char* kMakeDone =
    "UPDATE work_item SET state = 'done', worker_faults = $2, losses = $3 WHERE id = $1";
constexpr const char* kKilledAgents =
    "SELECT greatest(count(DISTINCT agent_id), count(*) FILTER (WHERE outcome = 'overrun')),"
    " coalesce(bool_and(outcome = 'overrun'), false),"
    " string_agg(agent_name || ': ' || outcome, '; ' ORDER BY epoch)"
    " FROM attempt WHERE item_id = $1 AND outcome IN ('lost', 'overrun')";
constexpr const char* kStoreEvaluation =
    "UPDATE evaluation SET outcome = $3, metrics = $4::jsonb, diagnostics = $5, log = $6,"
    " timings_ms = $7::jsonb, cpu_time_ms = $8, gpu_time_ms = $9, memory_peak_bytes = $10,"
    " result_key = $11, behaviour_digest = $12, is_cached = $13, agent_name = $14, attempts = $15,"
    " evaluator = $16, is_resumed = $17,"
    " finished_at = now() WHERE campaign_id = $1 AND number = $2 AND outcome IS NULL"
    " RETURNING variant, is_final, split, is_confirmation, is_control";
constexpr const char* kCountEvaluation =
    "UPDATE campaign SET evaluations = evaluations + $2, evaluations_failed = evaluations_failed +"
    " $3, final_evaluations = final_evaluations + $4, gpu_time_ms = gpu_time_ms + $5,"
    " cpu_time_ms = cpu_time_ms + $6 WHERE id = $1";
constexpr const char* kStoreProposal =
    "UPDATE proposal SET outcome = $3, result_variants = $4::jsonb, rejections = $5::jsonb,"
    " agent_name = $6, model = CASE WHEN $7 = '' THEN model ELSE $7 END, finished_at = now()"
    " WHERE campaign_id = $1 AND number = $2 AND outcome IS NULL";
constexpr const char* kCountProposal =
    "UPDATE campaign SET proposals = proposals + 1, proposals_failed = proposals_failed + $2,"
    " tokens = tokens + $3, cost_micro_usd = cost_micro_usd + $4 WHERE id = $1";

milliseconds retry_delay(int faults) {
  auto delay = kRetryDelayMin;
  for (int i = 1; i < faults && delay < kRetryDelayMax; ++i) delay *= 2;
  return std::min(delay, kRetryDelayMax);
}

void make_ready(pqxx::work& transaction, const LockedItem& item, AttemptEnd end,
                milliseconds delay) {
  // Where it may be the checkpoint that made the attempt fail, the next one begins anew.
  const bool keeps_checkpoint = end != AttemptEnd::infrastructure && end != AttemptEnd::overrun;
  execute(transaction, kMakeReady,
          pqxx::params{item.id.value, item.worker_faults, item.losses, delay.count(),
                       keeps_checkpoint});
}

/// Ends the item without a report, so that the campaign never waits for it.
void conclude_unreported(pqxx::work& transaction, const LockedItem& item, search::Outcome outcome,
                         const std::string& evidence) {
  if (item.kind == WorkKind::evaluation) {
    EvaluationResult result;
    result.outcome = outcome;
    result.diagnostics = evidence;
    return conclude_evaluation(transaction, item, result, "");
  }
  ProposalResult result;
  result.outcome = ProposalOutcome::infrastructure;
  result.rejections = {evidence};
  const auto event = store_proposal(transaction, item.campaign, {item.number}, result, "");
  execute(transaction, kMakeDone, pqxx::params{item.id.value, item.worker_faults, item.losses});
  append_event(transaction, item.campaign, event);
}

/// Poison when enough different agents went down with it, or it used up its budget as often.
std::optional<search::Outcome> find_poison(pqxx::work& transaction, const LockedItem& item,
                                           std::string& evidence) {
  const auto row = execute(transaction, kKilledAgents, pqxx::params{item.id.value}).one_row();
  if (row[0].as<int>() < kKilledAgentsMax) return std::nullopt;
  evidence = "agents were lost while they worked on this: " + row[2].as<std::string>();
  return row[1].as<bool>() ? search::Outcome::timeout : search::Outcome::crash;
}

}  // namespace

std::string word_of(AttemptEnd end) {
  switch (end) {
    case AttemptEnd::released: return "released";
    case AttemptEnd::unable: return "unable";
    case AttemptEnd::infrastructure: return "infrastructure";
    case AttemptEnd::lost: return "lost";
    case AttemptEnd::dropped: return "dropped";
    case AttemptEnd::overrun: return "overrun";
  }
  return "lost";
}

std::optional<LockedItem> lock_item(pqxx::work& transaction, ItemId item) {
  const auto found = execute(transaction, kFindCampaign, pqxx::params{item.value});
  if (found.empty()) return std::nullopt;
  const CampaignId campaign{found[0][0].as<std::int64_t>()};
  const auto state = lock_campaign(transaction, campaign);
  if (!state) return std::nullopt;
  const auto rows = execute(transaction, kLockItem, pqxx::params{item.value});
  if (rows.empty()) return std::nullopt;
  const auto row = rows[0];
  return LockedItem{.id = item,
                    .campaign = campaign,
                    .kind = known_word<WorkKind>(row[0].view()),
                    .number = row[1].as<std::int64_t>(),
                    .state = row[2].as<std::string>(),
                    .epoch = row[3].as<std::int64_t>(),
                    .agent_id = row[4].as<std::string>(),
                    .worker_faults = row[5].as<int>(),
                    .losses = row[6].as<int>(),
                    .has_campaign_ended = has_ended(*state)};
}

StoredEvent charge_event(const LockedItem& item, const Cost& cost, const std::string& why,
                         const std::string& agent_name) {
  const auto kind = word(item.kind);
  auto event = make_input(search::AttemptCharged{.tokens = cost.tokens,
                                                 .cost_micro_usd = cost.cost_micro_usd,
                                                 .gpu_time_ms = cost.gpu_time_ms},
                          kind + " " + std::to_string(item.number) +
                              ": what gave the search no result is charged: " + why);
  event.payload[kind] = item.number;
  event.payload["why"] = why;
  event.payload["agent"] = agent_name;
  return event;
}

void charge(pqxx::work& transaction, const LockedItem& item, const Cost& cost,
            const std::string& why, const std::string& agent_name) {
  execute(transaction, kCharge,
          pqxx::params{item.campaign.value, cost.tokens, cost.cost_micro_usd, cost.gpu_time_ms,
                       cost.cpu_time_ms});
  const bool is_budgeted = cost.tokens > 0 || cost.cost_micro_usd > 0 || cost.gpu_time_ms > 0;
  if (!is_budgeted || item.has_campaign_ended) return;
  append_event(transaction, item.campaign, charge_event(item, cost, why, agent_name));
}

Cost cost_of(const ProposalResult& result) {
  Cost cost;
  for (const auto& call : result.calls) {
    cost.tokens += call.prompt_tokens + call.completion_tokens;
    cost.cost_micro_usd += call.cost_micro_usd;
  }
  return cost;
}

Cost take_open_calls(pqxx::work& transaction, const LockedItem& item, std::int64_t epoch) {
  if (item.kind != WorkKind::proposal) return {};
  const auto taken = execute(transaction, kTakeOpenCalls,
                             pqxx::params{item.id.value, epoch, item.campaign.value, item.number})
                         .one_row();
  const Cost cost{.tokens = taken[0].as<std::int64_t>(),
                  .cost_micro_usd = taken[1].as<std::int64_t>()};
  execute(transaction, kAddCost,
          pqxx::params{item.id.value, epoch, cost.tokens, cost.cost_micro_usd});
  return cost;
}

AfterEnd end_attempt(pqxx::work& transaction, LockedItem& item, AttemptEnd end,
                     const std::string& evidence) {
  const auto ended = execute(transaction, kEndAttempt,
                             pqxx::params{item.id.value, item.epoch, word_of(end), evidence})
                         .one_row();
  if (end != AttemptEnd::infrastructure) {
    Cost cost = take_open_calls(transaction, item, item.epoch);
    cost.gpu_time_ms = ended[0].as<std::int64_t>();
    charge(transaction, item, cost, word_of(end), ended[1].as<std::string>());
  } else if (item.kind == WorkKind::proposal &&
             execute(transaction, kIsUsedUp, pqxx::params{item.id.value}).one_row()[0].as<bool>()) {
    ++item.worker_faults;
    conclude_unreported(transaction, item, search::Outcome::infrastructure,
                        "failed tries used up what was reserved, last: " + evidence);
    return AfterEnd::finished;
  }
  if (end == AttemptEnd::released) {
    make_ready(transaction, item, end, milliseconds(0));
    return AfterEnd::ready;
  }
  if (end == AttemptEnd::unable || end == AttemptEnd::infrastructure) {
    if (++item.worker_faults >= kWorkerFaultsMax) {
      conclude_unreported(transaction, item, search::Outcome::infrastructure,
                          "workers failed too often, last: " + evidence);
      return AfterEnd::finished;
    }
    make_ready(transaction, item, end, retry_delay(item.worker_faults));
    return AfterEnd::ready;
  }
  ++item.losses;
  std::string killed;
  if (const auto poison = find_poison(transaction, item, killed)) {
    conclude_unreported(transaction, item, *poison, killed);
    return AfterEnd::poisoned;
  }
  if (item.losses >= kLossesMax) {
    conclude_unreported(transaction, item, search::Outcome::infrastructure,
                        "too many attempts were lost");
    return AfterEnd::finished;
  }
  make_ready(transaction, item, end, milliseconds(0));
  return AfterEnd::ready;
}

StoredEvent evaluation_event(const search::RequestEvaluation& request,
                             const EvaluationResult& result, const std::string& agent_name,
                             std::optional<Confirming> confirming) {
  std::string what = request.is_final ? " final evaluation: " : " evaluated: ";
  if (confirming) {
    what = confirming->is_same_worker ? " evaluated again, by the same worker: "
                                      : " evaluated again: ";
  }
  auto event =
      make_input(search::EvaluationFinished{.evaluation = request.evaluation,
                                            .outcome = result.outcome,
                                            .metrics = result.metrics,
                                            .gpu_time_ms = result.gpu_time_ms},
                 "variant " + std::to_string(request.variant.value) + what + word(result.outcome));
  event.variant = request.variant.value;
  event.payload["variant"] = request.variant.value;
  event.payload["is_final"] = request.is_final;
  event.payload["split"] = word(request.split);
  event.payload["agent"] = agent_name;
  event.payload["is_cached"] = result.is_cached;
  event.payload["evaluator"] = result.evaluator;
  if (result.is_resumed) event.payload["is_resumed"] = true;
  event.payload["timings_ms"] = result.timings_ms;
  if (confirming) {
    event.payload["is_confirmation"] = true;
    event.payload["is_same_worker"] = confirming->is_same_worker;
  }
  if (result.time_saved_ms > 0) event.payload["time_saved_ms"] = result.time_saved_ms;
  return event;
}

void conclude_evaluation(pqxx::work& transaction, const LockedItem& item,
                         const EvaluationResult& result, const std::string& agent_name) {
  const auto row =
      execute(transaction, kStoreEvaluation,
              pqxx::params{item.campaign.value, item.number, word(result.outcome),
                           Json(result.metrics).dump(), result.diagnostics, result.log,
                           Json(result.timings_ms).dump(), result.cpu_time_ms, result.gpu_time_ms,
                           result.memory_peak_bytes, result.result_key, result.behaviour_digest,
                           result.is_cached, agent_name, item.epoch, result.evaluator,
                           result.is_resumed})
          .one_row();
  const auto variant = row[0].as<std::int64_t>();
  const bool is_final = row[1].as<bool>();
  const bool has_failed = result.outcome != search::Outcome::success;
  execute(transaction, kMakeDone, pqxx::params{item.id.value, item.worker_faults, item.losses});
  if (row[4].as<bool>()) return;  // A control: none of the search's.
  execute(transaction, kCountEvaluation,
          pqxx::params{item.campaign.value, is_final ? 0 : 1, !is_final && has_failed ? 1 : 0,
                       is_final ? 1 : 0, result.gpu_time_ms, result.cpu_time_ms});
  const search::RequestEvaluation request{.evaluation = {item.number},
                                          .variant = {variant},
                                          .split = known_word<search::Split>(row[2].view()),
                                          .is_final = is_final};
  std::optional<Confirming> confirming;
  if (row[3].as<bool>()) confirming.emplace();
  append_event(transaction, item.campaign,
               evaluation_event(request, result, agent_name, confirming));
}

StoredEvent proposal_event(search::ProposalNumber number, const ProposalResult& result,
                           const std::string& agent_name) {
  const auto cost = cost_of(result);
  search::ProposalFinished finished{
      .proposal = number,
      .variants = {},
      .tokens = cost.tokens,
      .cost_micro_usd = cost.cost_micro_usd,
      .is_quota_exhausted = result.outcome == ProposalOutcome::no_quota,
      .is_infrastructure = result.outcome == ProposalOutcome::infrastructure};
  for (const auto& variant : result.variants) {
    finished.variants.push_back({variant.token_digest, variant.source_tokens});
  }
  auto event =
      make_input(finished, "proposal " + std::to_string(number.value) + " " + word(result.outcome) +
                               ": " + std::to_string(result.variants.size()) +
                               (result.variants.size() == 1 ? " variant" : " variants"));
  event.payload["outcome"] = word(result.outcome);
  event.payload["agent"] = agent_name;
  event.payload["rejections"] = result.rejections;
  if (!result.calls.empty()) event.payload["model"] = result.calls.back().model;
  return event;
}

StoredEvent store_proposal(pqxx::work& transaction, CampaignId campaign,
                           search::ProposalNumber number, const ProposalResult& result,
                           const std::string& agent_name) {
  const auto cost = cost_of(result);
  execute(transaction, kStoreProposal,
          pqxx::params{campaign.value, number.value, word(result.outcome),
                       to_json(result.variants).dump(), Json(result.rejections).dump(), agent_name,
                       result.calls.empty() ? "" : result.calls.back().model});
  execute(transaction, kCountProposal,
          pqxx::params{campaign.value, result.variants.empty() ? 1 : 0, cost.tokens,
                       cost.cost_micro_usd});
  return proposal_event(number, result, agent_name);
}

}  // namespace cambrian::coordinator::postgres
