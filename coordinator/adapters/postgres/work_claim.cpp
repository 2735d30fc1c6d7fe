#include "coordinator/adapters/postgres/work_claim.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "coordinator/adapters/postgres/codec.hpp"
#include "coordinator/adapters/postgres/work_store.hpp"

namespace cambrian::coordinator::postgres {

// The campaigns in their order, and in each of them its queue, as the index holds it: nothing is
// sorted, and whatever has finished or waits behind is not touched. Who was unable to do an item a
// moment ago is not asked again; the look at it is a sub-select, for a join would be free to read
// all attempts first. The deal between agents is made by the caller.
//
// A jump is confirmed by another worker than those that evaluated the variant before: they are
// barred while a connected one could do it, for two minutes at most. What is barred for some must
// not lie before the hint of others.
const char* const kPickEvaluations =
    "SELECT c.id, w.id, w.unable FROM (SELECT id, array_position($6::bigint[], id) AS turn,"
    "   EXISTS (SELECT 1 FROM work_item x WHERE x.campaign_id = campaign.id AND x.state = 'ready'"
    "    AND x.other_than IS NOT NULL) AS is_confirming"
    "  FROM campaign WHERE state IN ('running', 'draining', 'finalizing')"
    "  AND stop_sequence <= applied_sequence ORDER BY priority DESC, turn NULLS FIRST, id) c"
    " CROSS JOIN LATERAL (SELECT q.id, CASE WHEN q.epoch > 0 OR barred.agents IS NOT NULL"
    "   THEN to_jsonb(ARRAY(SELECT a.agent_id FROM attempt a WHERE a.item_id = q.id"
    "    AND a.agent_id = ANY($1::text[]) AND a.outcome = 'unable'"
    "    AND a.ended_at > now() - interval '1 minute') || barred.agents) END AS unable"
    "  FROM work_item q CROSS JOIN LATERAL (SELECT CASE WHEN q.other_than IS NOT NULL"
    "    AND q.created_at > now() - interval '2 minutes'"
    "    AND EXISTS (SELECT 1 FROM agent o WHERE o.kind = 'worker' AND NOT o.is_draining"
    "     AND NOT o.should_drain AND o.last_sync_at > now() - interval '1 minute'"
    "     AND o.name <> ALL(q.other_than)"
    "     AND NOT EXISTS (SELECT 1 FROM quarantine x WHERE x.worker = o.name)"
    "     AND o.description -> 'runtimes' ? q.runtime"
    "     AND (o.description ->> 'sandbox_level')::integer >= q.sandbox_level"
    "     AND coalesce(o.description ->> 'trouble', '') = ''"
    "     AND jsonb_array_length(o.description -> 'gpus') >= q.gpus)"
    "    THEN ARRAY(SELECT a.agent_id FROM agent a WHERE a.agent_id = ANY($1::text[])"
    "     AND a.name = ANY(q.other_than)) END AS agents) barred"
    "  WHERE q.campaign_id = c.id AND q.kind = 'evaluation' AND q.state = 'ready'"
    "  AND q.id >= CASE WHEN c.is_confirming THEN 0 ELSE coalesce(($7::bigint[])[c.turn], 0) END"
    "  AND q.not_before <= now()"
    "  AND (barred.agents IS NULL OR cardinality(barred.agents) < cardinality($1::text[]))"
    "  AND q.runtime = ANY($2::text[]) AND q.sandbox_level <= $3 AND q.gpus <= $4"
    "  AND (q.epoch = 0 OR cardinality(ARRAY(SELECT DISTINCT a.agent_id FROM attempt a"
    "   WHERE a.item_id = q.id AND a.agent_id = ANY($1::text[]) AND a.outcome = 'unable'"
    "   AND a.ended_at > now() - interval '1 minute')) < cardinality($1::text[]))"
    "  ORDER BY q.id LIMIT $5::bigint FOR UPDATE OF q SKIP LOCKED) w LIMIT $5::bigint";

namespace {

constexpr const char* kFindExcluded =
    "SELECT a.agent_id FROM agent a WHERE a.agent_id = ANY($1::text[]) AND (a.should_drain"
    " OR a.kind = 'worker' AND EXISTS (SELECT 1 FROM quarantine q WHERE q.worker = a.name))";
constexpr const char* kPickProposals =
    "SELECT c.id, w.id, w.unable FROM (SELECT id, array_position($4::bigint[], id) AS turn"
    "  FROM campaign WHERE state IN ('running', 'draining', 'finalizing')"
    "  AND stop_sequence <= applied_sequence ORDER BY priority DESC, turn NULLS FIRST, id) c"
    " CROSS JOIN LATERAL (SELECT q.id, CASE WHEN q.epoch > 0 THEN to_jsonb(ARRAY("
    "   SELECT a.agent_id FROM attempt a WHERE a.item_id = q.id AND a.agent_id = ANY($1::text[])"
    "   AND a.outcome = 'unable' AND a.ended_at > now() - interval '1 minute')) END AS unable"
    "  FROM work_item q WHERE q.campaign_id = c.id AND q.kind = 'proposal' AND q.state = 'ready'"
    "  AND q.id >= coalesce(($5::bigint[])[c.turn], 0) AND q.not_before <= now()"
    "  AND (q.model = '' OR q.model = ANY($2::text[]))"
    "  AND (q.epoch = 0 OR cardinality(ARRAY(SELECT DISTINCT a.agent_id FROM attempt a"
    "   WHERE a.item_id = q.id AND a.agent_id = ANY($1::text[]) AND a.outcome = 'unable'"
    "   AND a.ended_at > now() - interval '1 minute')) < cardinality($1::text[]))"
    "  ORDER BY q.id LIMIT $3::bigint FOR UPDATE SKIP LOCKED) w LIMIT $3::bigint";
// Of items that are locked: whoever picked them decides alone. Each campaign is read once, however
// many of its items there are.
constexpr const char* kGrantEvaluations =
    "WITH given AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[])"
    "  AS g (item, place, agent_id, agent_name)),"
    " claimed AS (UPDATE work_item w SET state = 'leased', epoch = w.epoch + 1,"
    "  agent_id = g.agent_id, renewed_at = now(),"
    "  lease_expires_at = now() + $5 * interval '1 millisecond', attempt_deadline = now()"
    "   + greatest($6, w.attempt_budget_min_ms) * interval '1 millisecond'"
    "  FROM given g WHERE w.id = g.item RETURNING w.id, w.campaign_id,"
    "  w.number, w.epoch, greatest($6, w.attempt_budget_min_ms) AS budget_ms, g.place,"
    "  g.agent_id, g.agent_name, greatest(w.created_at, w.not_before) AS ready_at, w.checkpoint),"
    " noted AS (INSERT INTO attempt (item_id, epoch, agent_id, agent_name)"
    "  SELECT id, epoch, agent_id, agent_name FROM claimed),"
    " c AS MATERIALIZED (SELECT id, task_digest, definition -> 'parameters' AS parameters,"
    "  definition -> 'early_stop' -> 'rungs' AS rungs"
    "  FROM campaign WHERE id = ANY(ARRAY(SELECT campaign_id FROM claimed)))"
    " SELECT i.id, i.epoch, i.budget_ms, c.task_digest, i.campaign_id, i.place, v.files, e.split,"
    "  e.seed, c.parameters, (SELECT value FROM judge_secret),"
    "  (extract(epoch FROM now() - i.ready_at) * 1000)::bigint,"
    "  CASE WHEN e.variant > 0 AND NOT e.is_final AND NOT e.is_confirmation THEN c.rungs END,"
    "  coalesce(i.checkpoint, '')"
    " FROM claimed i JOIN c ON c.id = i.campaign_id"
    " JOIN evaluation e ON e.campaign_id = i.campaign_id AND e.number = i.number"
    " JOIN variant v ON v.campaign_id = i.campaign_id AND v.number = e.variant ORDER BY i.id";
constexpr const char* kGrantProposals =
    "WITH given AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[])"
    "  AS g (item, place, agent_id, agent_name)),"
    " claimed AS (UPDATE work_item w SET state = 'leased', epoch = w.epoch + 1,"
    "  agent_id = g.agent_id, renewed_at = now(),"
    "  lease_expires_at = now() + $5 * interval '1 millisecond', attempt_deadline = now()"
    "   + greatest($6, w.attempt_budget_min_ms) * interval '1 millisecond'"
    "  FROM given g WHERE w.id = g.item RETURNING w.id, w.campaign_id,"
    "  w.number, w.epoch, greatest($6, w.attempt_budget_min_ms) AS budget_ms, g.place,"
    "  g.agent_id, g.agent_name, greatest(w.created_at, w.not_before) AS ready_at),"
    " noted AS (INSERT INTO attempt (item_id, epoch, agent_id, agent_name)"
    "  SELECT id, epoch, agent_id, agent_name FROM claimed),"
    " c AS MATERIALIZED (SELECT id, task_digest, definition -> 'output_tokens' AS output_tokens,"
    "  concat_ws(E'\\n\\n', nullif(definition ->> 'instructions', ''), nullif(hint, ''))"
    "   AS instructions,"
    "  definition -> 'prompts' AS prompts,"
    // Control arms sample without knowing what came of it.
    "  CASE WHEN definition -> 'settings' ->> 'policy' IN ('random', 'sequential') THEN '[]'::jsonb"
    "   ELSE gains END AS gains,"
    "  definition -> 'settings' -> 'tokens_reserved' AS tokens_reserved,"
    "  definition -> 'settings' -> 'cost_reserved_micro_usd' AS cost_reserved"
    "  FROM campaign WHERE id = ANY(ARRAY(SELECT campaign_id FROM claimed)))"
    " SELECT i.id, i.epoch, i.budget_ms, c.task_digest, i.campaign_id, i.place, p.operator,"
    "  to_jsonb(p.parents), to_jsonb(p.inspirations), to_jsonb(p.failures), p.seed, p.variants,"
    "  p.model, p.temperature, c.output_tokens, c.instructions, c.tokens_reserved, c.cost_reserved,"
    "  (SELECT coalesce(sum(a.tokens), 0)::bigint FROM attempt a WHERE a.item_id = i.id),"
    "  (SELECT coalesce(sum(a.cost_micro_usd), 0)::bigint FROM attempt a WHERE a.item_id = i.id),"
    "  (extract(epoch FROM now() - i.ready_at) * 1000)::bigint,"
    "  c.gains, coalesce(c.prompts ->> p.operator, '')"
    " FROM claimed i JOIN c ON c.id = i.campaign_id"
    " JOIN proposal p ON p.campaign_id = i.campaign_id AND p.number = i.number ORDER BY i.id";
constexpr const char* kContexts =
    "SELECT v.campaign_id, v.number, v.files, v.metrics, v.outcome,"
    " coalesce((SELECT e.diagnostics FROM evaluation e WHERE e.campaign_id = v.campaign_id"
    "  AND e.variant = v.number AND e.outcome <> 'success' AND NOT e.is_control"
    "  ORDER BY e.number LIMIT 1), '')"
    " FROM unnest($1::bigint[], $2::bigint[]) AS wanted (campaign, number)"
    " JOIN variant v ON v.campaign_id = wanted.campaign AND v.number = wanted.number";

milliseconds milliseconds_of(const pqxx::field& field) {
  return milliseconds(field.as<std::int64_t>());
}

Assignment evaluation_assignment(const pqxx::row& row) {
  EvaluationWork work{.task_digest = row[3].as<std::string>(),
                      .files = files_from_json(json_of(row[6])),
                      .split = known_word<search::Split>(row[7].view()),
                      .seed = seed_of(row[8]),
                      .parameters = json_of(row[9]).get<std::map<std::string, double>>(),
                      .judge_secret = row[10].as<std::string>(),
                      .checkpoint = row[13].as<std::string>()};
  if (!row[12].is_null()) work.rungs = json_of(row[12]).get<std::vector<double>>();
  return {.lease = {ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()},
          .campaign = {row[4].as<std::int64_t>()},
          .attempt_budget = milliseconds_of(row[2]),
          .waited = milliseconds_of(row[11]),
          .work = std::move(work)};
}

/// Programs by campaign and number of the variant.
using Contexts = std::map<std::pair<std::int64_t, std::int64_t>, ProgramContext>;

/// The columns of `kGrantProposals` with the numbers of variants.
constexpr int kParents = 7;
constexpr int kInspirations = 8;
constexpr int kFailures = 9;

/// What the proposals show, each program once.
Contexts read_contexts(pqxx::work& transaction, const pqxx::result& proposals) {
  std::set<std::pair<std::int64_t, std::int64_t>> wanted;
  for (const auto& row : proposals) {
    for (const int column : {kParents, kInspirations, kFailures}) {
      for (const auto& number : json_of(row[column])) {
        wanted.insert({row[4].as<std::int64_t>(), number.get<std::int64_t>()});
      }
    }
  }
  Contexts contexts;
  if (wanted.empty()) return contexts;
  std::vector<std::int64_t> campaigns;
  std::vector<std::int64_t> numbers;
  for (const auto& [campaign, number] : wanted) {
    campaigns.push_back(campaign);
    numbers.push_back(number);
  }
  for (const auto& row : execute(transaction, kContexts,
                                 pqxx::params{number_array(campaigns), number_array(numbers)})) {
    ProgramContext context{.variant = row[1].as<std::int64_t>(),
                           .files = files_from_json(json_of(row[2])),
                           .metrics = json_of(row[3]).get<std::map<std::string, double>>(),
                           .outcome = std::nullopt,
                           .diagnostics = row[5].as<std::string>()};
    if (!row[4].is_null()) context.outcome = known_word<search::Outcome>(row[4].view());
    contexts.emplace(std::pair(row[0].as<std::int64_t>(), context.variant), std::move(context));
  }
  return contexts;
}

/// In the order of the array: the model sees parents and inspirations as the search ranked them.
std::vector<ProgramContext> contexts_of(const Contexts& contexts, std::int64_t campaign,
                                        const pqxx::field& numbers) {
  std::vector<ProgramContext> wanted;
  for (const auto& number : json_of(numbers)) {
    const auto found = contexts.find({campaign, number.get<std::int64_t>()});
    if (found != contexts.end()) wanted.push_back(found->second);
  }
  return wanted;
}

/// What earlier attempts left of a reserve. Never nothing: that would be no limit.
std::int64_t left_of(const pqxx::field& reserved, const pqxx::field& used) {
  const auto whole = reserved.as<std::int64_t>();
  if (whole == 0) return 0;
  return std::max<std::int64_t>(1, whole - used.as<std::int64_t>());
}

Assignment proposal_of(const Contexts& contexts, const pqxx::row& row) {
  const auto campaign = row[4].as<std::int64_t>();
  ProposalWork work{.task_digest = row[3].as<std::string>(),
                    .operation = known_word<search::Operator>(row[6].view()),
                    .parents = contexts_of(contexts, campaign, row[kParents]),
                    .inspirations = contexts_of(contexts, campaign, row[kInspirations]),
                    .failures = contexts_of(contexts, campaign, row[kFailures]),
                    .seed = seed_of(row[10]),
                    .variants = row[11].as<int>(),
                    .model = row[12].as<std::string>(),
                    .temperature = optional_of<double>(row[13]),
                    .output_tokens = row[14].as<int>(),
                    .instructions = row[15].as<std::string>(),
                    .tokens_reserved = left_of(row[16], row[18]),
                    .cost_reserved_micro_usd = left_of(row[17], row[19]),
                    .gains = {},
                    .order = row[22].as<std::string>()};
  for (const auto& gain : json_of(row[21])) {
    work.gains.push_back({.variant = gain.at("variant"),
                          .before = gain.at("before"),
                          .after = gain.at("after"),
                          .change = gain.at("change")});
  }
  return {.lease = {ItemId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()},
          .campaign = {row[4].as<std::int64_t>()},
          .attempt_budget = milliseconds_of(row[2]),
          .waited = milliseconds_of(row[20]),
          .work = std::move(work)};
}

/// Agents of a batch that can do the same, and what they ask for together.
struct Group {
  AgentKind kind = AgentKind::worker;
  std::string needs;                ///< Names what they can do.
  std::vector<std::size_t> places;  ///< Of their calls.
  std::vector<CampaignId> served;
  std::vector<std::int64_t> starts;
};

std::string needs_of(const AgentDescription& agent) {
  if (agent.kind == AgentKind::codegen) return "codegen " + text_array(agent.models);
  return "worker " + text_array(agent.runtimes) + " " + std::to_string(agent.sandbox_level) + " " +
         std::to_string(agent.gpus.size());
}

/// An item that is locked and ready.
struct Picked {
  CampaignId campaign;
  ItemId item;
  std::vector<std::string> unable;  ///< Agents that must not get it now.
};

std::vector<Picked> pick(pqxx::work& transaction, const Group& group, const AgentDescription& agent,
                         const std::vector<std::string>& agents, std::int64_t count) {
  const auto served = id_array(group.served);
  const auto starts = number_array(group.starts);
  const auto rows =
      group.kind == AgentKind::worker
          ? execute(
                transaction, kPickEvaluations,
                pqxx::params{text_array(agents), text_array(agent.runtimes), agent.sandbox_level,
                             static_cast<int>(agent.gpus.size()), count, served, starts})
          : execute(
                transaction, kPickProposals,
                pqxx::params{text_array(agents), text_array(agent.models), count, served, starts});
  std::vector<Picked> picked;
  for (const auto& row : rows) {
    Picked one{.campaign = CampaignId{row[0].as<std::int64_t>()},
               .item = ItemId{row[1].as<std::int64_t>()},
               .unable = {}};
    if (!row[2].is_null()) one.unable = json_of(row[2]).get<std::vector<std::string>>();
    picked.push_back(std::move(one));
  }
  return picked;
}

/// Who gets what, as the arrays of a grant.
struct Deal {
  std::vector<std::int64_t> items;
  std::vector<std::int64_t> places;
  std::vector<std::string> agents;
  std::vector<std::string> names;
};

/// One transaction for the claims of many agents.
class ClaimRun {
 public:
  using Assignments = std::vector<Assignment>;

  /// `may_be_due`: workers that are to be looked up whether they are due for a control.
  ClaimRun(pqxx::work& transaction, const std::vector<Claim>& claims, const LeaseTimes& times,
           const std::set<std::string>& may_be_due)
      : transaction_(transaction),
        claims_(claims),
        times_(times),
        may_be_due_(may_be_due),
        answers_(claims.size()) {}

  void serve(Group group) {
    leave_out_excluded(group);
    if (group.places.empty()) return;
    std::vector<std::string> agents;
    std::int64_t wanted = 0;
    for (const auto place : group.places) {
      agents.push_back(claims_[place].agent.agent_id);
      wanted += claims_[place].count;
    }
    const auto& like = claims_[group.places.front()].agent;
    auto picked = pick(transaction_, group, like, agents, wanted);
    const bool has_looked_everywhere =
        std::ranges::all_of(group.starts, [](std::int64_t start) { return start == 0; });
    if (!has_looked_everywhere && static_cast<std::int64_t>(picked.size()) < wanted) {
      // The rows that are ours already are ready for us, and come again.
      auto everywhere = group;
      std::ranges::fill(everywhere.starts, 0);
      picked = pick(transaction_, everywhere, like, agents, wanted);
    }
    for (const auto& one : picked) {
      auto& first = first_[{group.needs, one.campaign}];
      if (first.value == 0 || one.item < first) first = one.item;
    }
    auto dealt = deal(group, picked);
    if (group.kind == AgentKind::worker) swap_in_controls(dealt);
    grant(group.kind, dealt);
  }

  std::vector<Assignments> take_answers() { return std::move(answers_); }
  /// The first item of each campaign that agents of these needs could take.
  const std::map<std::pair<std::string, CampaignId>, ItemId>& first() const { return first_; }
  /// Workers that were looked up for a control.
  const std::set<std::string>& asked() const { return asked_; }

 private:
  /// Those that are to drain, and workers in quarantine: they may not have heard of it.
  void leave_out_excluded(Group& group) {
    std::vector<std::string> agents;
    for (const auto place : group.places) agents.push_back(claims_[place].agent.agent_id);
    std::set<std::string> excluded;
    for (const auto& row : execute(transaction_, kFindExcluded, pqxx::params{text_array(agents)})) {
      excluded.insert(row[0].as<std::string>());
    }
    if (excluded.empty()) return;
    std::erase_if(group.places, [&](std::size_t place) {
      return excluded.contains(claims_[place].agent.agent_id);
    });
  }

  /// In turns, so that few items go to many agents.
  Deal deal(const Group& group, const std::vector<Picked>& picked) const {
    Deal deal;
    std::map<std::size_t, int> given;
    std::size_t turn = 0;
    for (const auto& one : picked) {
      for (std::size_t i = 0; i < group.places.size(); ++i) {
        const auto place = group.places[(turn + i) % group.places.size()];
        const auto& agent = claims_[place].agent;
        if (given[place] >= claims_[place].count ||
            std::ranges::find(one.unable, agent.agent_id) != one.unable.end()) {
          continue;
        }
        ++given[place];
        turn += i + 1;
        deal.items.push_back(one.item.value);
        deal.places.push_back(static_cast<std::int64_t>(place));
        deal.agents.push_back(agent.agent_id);
        deal.names.push_back(agent.name);
        break;
      }
    }
    return deal;
  }

  /// Whoever is due for a control gets it in place of an item, which stays ready.
  void swap_in_controls(Deal& deal) {
    std::vector<std::int64_t> items;
    std::vector<std::string> workers;
    for (std::size_t i = 0; i < deal.items.size(); ++i) {
      if (!may_be_due_.contains(deal.names[i])) continue;
      asked_.insert(deal.names[i]);
      items.push_back(deal.items[i]);
      workers.push_back(deal.names[i]);
    }
    if (items.empty()) return;
    for (const auto& [item, control] :
         plant_controls(transaction_, items, workers, times_.control_interval)) {
      std::ranges::replace(deal.items, item, control);
    }
  }

  void grant(AgentKind kind, const Deal& deal) {
    if (deal.items.empty()) return;
    const bool is_worker = kind == AgentKind::worker;
    const auto attempt = is_worker ? times_.evaluation_attempt : times_.proposal_attempt;
    const auto rows = execute(
        transaction_, is_worker ? kGrantEvaluations : kGrantProposals,
        pqxx::params{number_array(deal.items), number_array(deal.places), text_array(deal.agents),
                     text_array(deal.names), times_.lease.count(), attempt.count()});
    const auto contexts = is_worker ? Contexts() : read_contexts(transaction_, rows);
    for (const auto& row : rows) {
      answers_[row[5].as<std::size_t>()].push_back(is_worker ? evaluation_assignment(row)
                                                             : proposal_of(contexts, row));
    }
  }

  pqxx::work& transaction_;
  const std::vector<Claim>& claims_;
  const LeaseTimes& times_;
  const std::set<std::string>& may_be_due_;
  std::set<std::string> asked_;
  std::vector<Assignments> answers_;
  std::map<std::pair<std::string, CampaignId>, ItemId> first_;
};

}  // namespace

awaitable<Result<std::vector<PostgresWorkStore::Assignments>>> PostgresWorkStore::claim_all(
    std::vector<ClaimCall> calls) {
  std::map<std::string, Group> groups;
  std::vector<Claim> claims;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const auto needs = needs_of(calls[i].claim.agent);
    auto& group = groups[needs];
    group.kind = calls[i].claim.agent.kind;
    group.needs = needs;
    group.places.push_back(i);
    group.served = calls[i].claim.served;  // The latest of them knows best.
    claims.push_back(std::move(calls[i].claim));
  }
  const auto now = ClaimHints::Clock::now();
  const auto times = calls.front().times;
  std::set<std::string> may_be_due;
  for (const auto& claim : claims) {
    const auto& agent = claim.agent;
    if (agent.kind == AgentKind::worker && times.has_controls &&
        controls_.may_be_due(agent.name, now, times.control_interval)) {
      may_be_due.insert(agent.name);
    }
  }
  for (auto& [needs, group] : groups) group.starts = hints_.starts(needs, group.served, now);
  struct Outcome {
    std::vector<Assignments> answers;
    std::map<std::pair<std::string, CampaignId>, ItemId> first;
    std::set<std::string> asked;
  };
  auto body = [groups = std::move(groups), claims = std::move(claims), times,
               may_be_due = std::move(may_be_due)](pqxx::work& transaction) -> Result<Outcome> {
    ClaimRun run(transaction, claims, times, may_be_due);
    for (const auto& [needs, group] : groups) run.serve(group);
    return Outcome{.answers = run.take_answers(), .first = run.first(), .asked = run.asked()};
  };
  // A claim in doubt is not repeated: leases that nobody heard of are dropped without blame.
  CAMBRIAN_CO_TRY(auto outcome,
                  co_await database_.run(Lane::claim, "claim", std::move(body), InDoubt::report));
  for (const auto& [where, item] : outcome.first) hints_.note(where.first, where.second, item);
  for (const auto& worker : outcome.asked) controls_.note(worker, now);
  co_return std::move(outcome.answers);
}

awaitable<Result<std::vector<Assignment>>> PostgresWorkStore::claim(Claim claim, LeaseTimes times) {
  auto& calls = claim.agent.kind == AgentKind::worker ? evaluations_ : proposals_;
  ClaimCall call{.claim = std::move(claim), .times = times};
  co_return co_await calls.ask(std::move(call));
}

}  // namespace cambrian::coordinator::postgres
