#include "coordinator/adapters/postgres/work_claim.hpp"

#include <algorithm>

#include "coordinator/adapters/postgres/codec.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"

namespace cambrian::coordinator::postgres {

// The inner select is an array on purpose: joined to the UPDATE, a parameter in LIMIT makes the
// planner walk the finished rows (measured: 21 claims a second instead of 1,829 with 32 clients).
const char* const kClaimEvaluations =
    "WITH claimed AS (UPDATE work_item SET state = 'leased', epoch = epoch + 1, agent_id = $1,"
    "  renewed_at = now(), lease_expires_at = now() + $3 * interval '1 millisecond',"
    "  attempt_deadline = now() + greatest($4, attempt_budget_min_ms) * interval '1 millisecond'"
    "  WHERE id = ANY(ARRAY(SELECT w.id FROM work_item w JOIN campaign c ON c.id = w.campaign_id"
    "   WHERE w.state = 'ready' AND w.kind = 'evaluation' AND w.not_before <= now()"
    "   AND c.state IN ('running', 'draining', 'finalizing')"
    "   AND c.stop_sequence <= c.applied_sequence"
    "   AND w.runtime = ANY($5::text[]) AND w.sandbox_level <= $6 AND w.gpus <= $7"
    "   AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.item_id = w.id AND a.agent_id = $1"
    "    AND a.outcome = 'unable' AND a.ended_at > now() - interval '1 minute')"
    "   ORDER BY w.priority DESC, array_position($9::bigint[], w.campaign_id) NULLS FIRST, w.id"
    "   LIMIT $8 FOR UPDATE OF w SKIP LOCKED))"
    "  RETURNING id, campaign_id, number, epoch, greatest($4, attempt_budget_min_ms) AS budget_ms),"
    " noted AS (INSERT INTO attempt (item_id, epoch, agent_id, agent_name)"
    "  SELECT id, epoch, $1, $2 FROM claimed)"
    " SELECT i.id, i.epoch, i.budget_ms, c.task_digest, i.campaign_id, v.files, e.split, e.seed,"
    "  c.definition -> 'parameters', (SELECT value FROM judge_secret)"
    " FROM claimed i JOIN campaign c ON c.id = i.campaign_id"
    " JOIN evaluation e ON e.campaign_id = i.campaign_id AND e.number = i.number"
    " JOIN variant v ON v.campaign_id = i.campaign_id AND v.number = e.variant ORDER BY i.id";

namespace {

constexpr const char* kClaimProposals =
    "WITH claimed AS (UPDATE work_item SET state = 'leased', epoch = epoch + 1, agent_id = $1,"
    "  renewed_at = now(), lease_expires_at = now() + $3 * interval '1 millisecond',"
    "  attempt_deadline = now() + greatest($4, attempt_budget_min_ms) * interval '1 millisecond'"
    "  WHERE id = ANY(ARRAY(SELECT w.id FROM work_item w JOIN campaign c ON c.id = w.campaign_id"
    "   WHERE w.state = 'ready' AND w.kind = 'proposal' AND w.not_before <= now()"
    "   AND c.state IN ('running', 'draining', 'finalizing')"
    "   AND c.stop_sequence <= c.applied_sequence"
    "   AND (w.model = '' OR w.model = ANY($5::text[]))"
    "   AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.item_id = w.id AND a.agent_id = $1"
    "    AND a.outcome = 'unable' AND a.ended_at > now() - interval '1 minute')"
    "   ORDER BY w.priority DESC, array_position($7::bigint[], w.campaign_id) NULLS FIRST, w.id"
    "   LIMIT $6 FOR UPDATE OF w SKIP LOCKED))"
    "  RETURNING id, campaign_id, number, epoch, greatest($4, attempt_budget_min_ms) AS budget_ms),"
    " noted AS (INSERT INTO attempt (item_id, epoch, agent_id, agent_name)"
    "  SELECT id, epoch, $1, $2 FROM claimed)"
    " SELECT i.id, i.epoch, i.budget_ms, c.task_digest, i.campaign_id, p.operator,"
    "  to_jsonb(p.parents), to_jsonb(p.inspirations), to_jsonb(p.failures), p.seed, p.variants,"
    "  p.model, p.temperature, c.definition -> 'output_tokens', c.definition ->> 'instructions',"
    "  c.definition -> 'settings' -> 'tokens_reserved',"
    "  c.definition -> 'settings' -> 'cost_reserved_micro_usd',"
    "  (SELECT coalesce(sum(a.tokens), 0)::bigint FROM attempt a WHERE a.item_id = i.id),"
    "  (SELECT coalesce(sum(a.cost_micro_usd), 0)::bigint FROM attempt a WHERE a.item_id = i.id)"
    " FROM claimed i JOIN campaign c ON c.id = i.campaign_id"
    " JOIN proposal p ON p.campaign_id = i.campaign_id AND p.number = i.number ORDER BY i.id";
// In the order of the array: the model sees parents and inspirations as the search ranked them.
constexpr const char* kContexts =
    "SELECT v.number, v.files, v.metrics, v.outcome,"
    " coalesce((SELECT e.diagnostics FROM evaluation e WHERE e.campaign_id = v.campaign_id"
    "  AND e.variant = v.number AND e.outcome <> 'success' ORDER BY e.number LIMIT 1), '')"
    " FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (number, place)"
    " JOIN variant v ON v.campaign_id = $1 AND v.number = wanted.number ORDER BY wanted.place";

milliseconds milliseconds_of(const pqxx::field& field) {
  return milliseconds(field.as<std::int64_t>());
}

Assignment evaluation_of(const pqxx::row& row) {
  EvaluationWork work{.task_digest = row[3].as<std::string>(),
                      .files = files_from_json(json_of(row[5])),
                      .split = known_word<search::Split>(row[6].view()),
                      .seed = seed_of(row[7]),
                      .parameters = json_of(row[8]).get<std::map<std::string, double>>(),
                      .judge_secret = row[9].as<std::string>()};
  return {.lease = {ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()},
          .campaign = {row[4].as<std::int64_t>()},
          .attempt_budget = milliseconds_of(row[2]),
          .work = std::move(work)};
}

std::vector<ProgramContext> contexts_of(pqxx::work& transaction, std::int64_t campaign,
                                        const pqxx::field& numbers) {
  std::vector<ProgramContext> contexts;
  const auto wanted = json_of(numbers).get<std::vector<std::int64_t>>();
  if (wanted.empty()) return contexts;
  for (const auto& row :
       transaction.exec(kContexts, pqxx::params{campaign, number_array(wanted)})) {
    ProgramContext context{.variant = row[0].as<std::int64_t>(),
                           .files = files_from_json(json_of(row[1])),
                           .metrics = json_of(row[2]).get<std::map<std::string, double>>(),
                           .outcome = std::nullopt,
                           .diagnostics = row[4].as<std::string>()};
    if (!row[3].is_null()) context.outcome = known_word<search::Outcome>(row[3].view());
    contexts.push_back(std::move(context));
  }
  return contexts;
}

/// What earlier attempts left of a reserve. Never nothing: that would be no limit.
std::int64_t left_of(const pqxx::field& reserved, const pqxx::field& used) {
  const auto whole = reserved.as<std::int64_t>();
  if (whole == 0) return 0;
  return std::max<std::int64_t>(1, whole - used.as<std::int64_t>());
}

Assignment proposal_of(pqxx::work& transaction, const pqxx::row& row) {
  const auto campaign = row[4].as<std::int64_t>();
  ProposalWork work{.task_digest = row[3].as<std::string>(),
                    .operation = known_word<search::Operator>(row[5].view()),
                    .parents = contexts_of(transaction, campaign, row[6]),
                    .inspirations = contexts_of(transaction, campaign, row[7]),
                    .failures = contexts_of(transaction, campaign, row[8]),
                    .seed = seed_of(row[9]),
                    .variants = row[10].as<int>(),
                    .model = row[11].as<std::string>(),
                    .temperature = optional_of<double>(row[12]),
                    .output_tokens = row[13].as<int>(),
                    .instructions = row[14].as<std::string>(),
                    .tokens_reserved = left_of(row[15], row[17]),
                    .cost_reserved_micro_usd = left_of(row[16], row[18])};
  return {.lease = {ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()},
          .campaign = {row[4].as<std::int64_t>()},
          .attempt_budget = milliseconds_of(row[2]),
          .work = std::move(work)};
}

std::vector<Assignment> claim_evaluations(pqxx::work& transaction, const Claim& claim,
                                          const LeaseTimes& times) {
  const auto& agent = claim.agent;
  std::vector<Assignment> assignments;
  const auto rows = transaction.exec(
      kClaimEvaluations, pqxx::params{agent.agent_id, agent.name, times.lease.count(),
                                      times.evaluation_attempt.count(), text_array(agent.runtimes),
                                      agent.sandbox_level, static_cast<int>(agent.gpus.size()),
                                      claim.count, id_array(claim.served)});
  for (const auto& row : rows) assignments.push_back(evaluation_of(row));
  return assignments;
}

std::vector<Assignment> claim_proposals(pqxx::work& transaction, const Claim& claim,
                                        const LeaseTimes& times) {
  const auto& agent = claim.agent;
  std::vector<Assignment> assignments;
  const auto rows = transaction.exec(
      kClaimProposals,
      pqxx::params{agent.agent_id, agent.name, times.lease.count(), times.proposal_attempt.count(),
                   text_array(agent.models), claim.count, id_array(claim.served)});
  for (const auto& row : rows) assignments.push_back(proposal_of(transaction, row));
  return assignments;
}

}  // namespace

awaitable<Result<std::vector<Assignment>>> PostgresWorkStore::claim(Claim claim, LeaseTimes times) {
  auto body = [claim = std::move(claim),
               times](pqxx::work& transaction) -> Result<std::vector<Assignment>> {
    return claim.agent.kind == AgentKind::worker ? claim_evaluations(transaction, claim, times)
                                                 : claim_proposals(transaction, claim, times);
  };
  // A claim in doubt is not repeated: leases that nobody heard of are dropped without blame.
  co_return co_await database_.run(Lane::claim, "claim", std::move(body), InDoubt::report);
}

}  // namespace cambrian::coordinator::postgres
