#include "tests/simulation/memory_database.hpp"

#include <algorithm>
#include <ranges>

namespace cambrian::coordinator::simulation {
namespace {

constexpr auto kUnableTime = std::chrono::minutes(1);
constexpr auto kConnectedTime = std::chrono::minutes(1);
constexpr auto kBarredTime = std::chrono::minutes(2);
constexpr int kNotesPerLease = 12;
constexpr milliseconds kNoteIntervalMax{5'000};

bool is_infrastructure(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return evaluation->outcome == search::Outcome::infrastructure;
  }
  return std::get<ProposalResult>(report.result).outcome == ProposalOutcome::infrastructure;
}

milliseconds retry_delay(int faults) {
  auto delay = kRetryDelayMin;
  for (int i = 1; i < faults; ++i) delay = std::min(2 * delay, kRetryDelayMax);
  return delay;
}

struct Spent {
  std::int64_t gpu_time_ms = 0;
  std::int64_t tokens = 0;
  std::int64_t cost_micro_usd = 0;
};

Spent spent_by(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return {.gpu_time_ms = evaluation->gpu_time_ms};
  }
  Spent spent;
  for (const auto& call : std::get<ProposalResult>(report.result).calls) {
    spent.tokens += call.prompt_tokens + call.completion_tokens;
    spent.cost_micro_usd += call.cost_micro_usd;
  }
  return spent;
}

}  // namespace

std::string MemoryDatabase::word_of(End end) {
  switch (end) {
    case End::released: return "released";
    case End::unable: return "unable";
    case End::infrastructure: return "infrastructure";
    case End::lost: return "lost";
    case End::dropped: return "dropped";
    case End::overrun: return "overrun";
  }
  return "lost";
}

MemoryItem* MemoryDatabase::find_item(ItemId id) {
  const auto found = items_.find(id);
  return found == items_.end() ? nullptr : &found->second;
}

std::int64_t MemoryDatabase::append(MemoryCampaign& campaign, Logged event) {
  event.sequence = ++campaign.last_sequence;
  campaign.log.push_back(std::move(event));
  return campaign.last_sequence;
}

// ---- Users ----

CampaignId MemoryDatabase::create(const CampaignDefinition& definition) {
  const CampaignId id{std::ssize(campaigns_) + 1};
  auto& campaign = campaigns_[id];
  campaign.id = id;
  campaign.definition = definition;
  append(campaign, {.sequence = 0, .input = definition.started, .derived = {}});
  return id;
}

Result<std::int64_t> MemoryDatabase::request(CampaignId id, UserAction action) {
  auto& campaign = campaigns_.at(id);
  if (has_ended(campaign.state)) {
    if (action == UserAction::stop) return 0;
    return fail(Errc::conflict, "the campaign has ended");
  }
  if (action == UserAction::pause) {
    return append(campaign, {.sequence = 0, .input = search::PauseRequested{}, .derived = {}});
  }
  if (action == UserAction::resume) {
    return append(campaign, {.sequence = 0, .input = search::ResumeRequested{}, .derived = {}});
  }
  search::StopRequested stop;
  for (auto& [item_id, item] : items_) {
    if (item.campaign != id) continue;
    if (item.state == "ready") item.state = "cancelled";
    if (item.state == "leased" && item.kind == WorkKind::evaluation) {
      stop.begun.push_back({item.number});
    }
  }
  std::ranges::sort(stop.begun);
  const auto sequence = append(campaign, {.sequence = 0, .input = stop, .derived = {}});
  campaign.stop_sequence = sequence;
  return sequence;
}

// ---- Agents ----

SyncState MemoryDatabase::sync(const AgentReport& report, const LeaseTimes& times) {
  SyncState state;
  for (const auto& release : report.released) {
    auto* item = find_item(release.lease.item);
    if (item == nullptr || item->state != "leased" || item->epoch != release.lease.epoch ||
        item->agent_id != report.agent.agent_id) {
      continue;
    }
    const auto end = release.reason == ReleaseReason::unable ? End::unable : End::released;
    end_attempt(*item, end);
    state.released.push_back({item->kind, word_of(end)});
  }
  for (const auto& progress : report.running) {
    auto* item = find_item(progress.lease.item);
    if (item == nullptr || item->state != "leased" || item->epoch != progress.lease.epoch ||
        item->agent_id != report.agent.agent_id) {
      state.cancelled.push_back(progress.lease);
      continue;
    }
    item->renewed_at = now;
    item->expires_at = now + times.lease;
  }
  note_agent(report, times);
  return state;
}

/// A heartbeat that says nothing new is not written each time.
void MemoryDatabase::note_agent(const AgentReport& report, const LeaseTimes& times) {
  Agent agent{.name = report.agent.name,
              .kind = report.agent.kind,
              .runtimes = report.agent.runtimes,
              .sandbox_level = report.agent.sandbox_level,
              .is_draining = report.is_draining,
              .running = {},
              .last_sync_at = now};
  for (const auto& progress : report.running) agent.running.push_back(progress.lease);
  auto& noted = agents_[report.agent.agent_id];
  const auto interval = std::min(times.lease / kNotesPerLease, kNoteIntervalMax);
  if (noted.running == agent.running && noted.is_draining == agent.is_draining &&
      noted.last_sync_at > now - interval) {
    return;
  }
  noted = std::move(agent);
}

bool MemoryDatabase::is_serving(const MemoryCampaign& campaign) const {
  return (campaign.state == CampaignState::running || campaign.state == CampaignState::draining ||
          campaign.state == CampaignState::finalizing) &&
         campaign.stop_sequence <= campaign.applied_sequence;
}

/// Whoever evaluated the variant of a jump leaves its confirmation to a connected worker that has
/// not, for a while.
bool MemoryDatabase::is_barred(const MemoryItem& item, const AgentDescription& agent) const {
  if (item.other_than.empty() || item.created_at <= now - kBarredTime) return false;
  const auto has = [&item](const std::string& name) {
    return std::ranges::find(item.other_than, name) != item.other_than.end();
  };
  const auto& definition = campaigns_.at(item.campaign).definition;
  const bool is_another_there = std::ranges::any_of(agents_, [&](const auto& one) {
    const Agent& other = one.second;
    return other.kind == AgentKind::worker && !other.is_draining &&
           other.last_sync_at > now - kConnectedTime && !has(other.name) &&
           std::ranges::find(other.runtimes, definition.runtime) != other.runtimes.end() &&
           other.sandbox_level >= definition.sandbox_level;
  });
  const auto known = agents_.find(agent.agent_id);
  return is_another_there && known != agents_.end() && has(known->second.name);
}

bool MemoryDatabase::may_take(const MemoryItem& item, const Claim& claim) const {
  const bool is_worker = claim.agent.kind == AgentKind::worker;
  if (item.state != "ready" || item.not_before > now ||
      is_worker != (item.kind == WorkKind::evaluation)) {
    return false;
  }
  const auto& campaign = campaigns_.at(item.campaign);
  const auto& definition = campaign.definition;
  if (is_worker) {
    const auto& runtimes = claim.agent.runtimes;
    if (std::ranges::find(runtimes, definition.runtime) == runtimes.end() ||
        definition.sandbox_level > claim.agent.sandbox_level || is_barred(item, claim.agent)) {
      return false;
    }
  } else {
    const auto& model = campaign.proposals.at(item.number).model;
    const auto& models = claim.agent.models;
    if (!model.empty() && std::ranges::find(models, model) == models.end()) return false;
  }
  return std::ranges::none_of(item.attempts, [&](const auto& entry) {
    const auto& attempt = entry.second;
    return attempt.agent_id == claim.agent.agent_id && attempt.outcome == "unable" &&
           attempt.ended_at > now - kUnableTime;
  });
}

Assignment MemoryDatabase::grant(MemoryItem& item, const Claim& claim, const LeaseTimes& times) {
  const bool is_evaluation = item.kind == WorkKind::evaluation;
  const auto& campaign = campaigns_.at(item.campaign);
  const auto budget =
      is_evaluation ? std::max(times.evaluation_attempt, campaign.definition.attempt_budget_min)
                    : times.proposal_attempt;
  item.state = "leased";
  item.agent_id = claim.agent.agent_id;
  item.renewed_at = now;
  item.expires_at = now + times.lease;
  item.deadline = now + budget;
  MemoryAttempt attempt;
  attempt.agent_id = claim.agent.agent_id;
  attempt.agent_name = claim.agent.name;
  item.attempts[++item.epoch] = std::move(attempt);
  Assignment assignment{.lease = {item.id, item.epoch},
                        .campaign = item.campaign,
                        .attempt_budget = budget,
                        .waited = {},
                        .work = {}};
  if (is_evaluation) {
    const auto& request = campaign.evaluations.at(item.number);
    EvaluationWork work;
    work.split = request.split;
    work.seed = request.seed;
    assignment.work = std::move(work);
    return assignment;
  }
  const auto& request = campaign.proposals.at(item.number);
  ProposalWork work;
  work.operation = request.operation;
  work.seed = request.seed;
  work.variants = request.variants;
  work.model = request.model;
  for (const auto parent : request.parents) {
    work.parents.emplace_back().variant = parent.value;
  }
  assignment.work = std::move(work);
  return assignment;
}

std::vector<Assignment> MemoryDatabase::claim(const Claim& claim, const LeaseTimes& times) {
  std::vector<const MemoryCampaign*> order;
  for (const auto& [id, campaign] : campaigns_) {
    if (is_serving(campaign)) order.push_back(&campaign);
  }
  const auto turn = [&claim](CampaignId id) {
    return std::ranges::find(claim.served, id) == claim.served.end()
               ? 0
               : std::ranges::find(claim.served, id) - claim.served.begin() + 1;
  };
  std::ranges::stable_sort(order, [&](const MemoryCampaign* a, const MemoryCampaign* b) {
    return std::tuple(-a->definition.priority, turn(a->id), a->id) <
           std::tuple(-b->definition.priority, turn(b->id), b->id);
  });
  std::vector<Assignment> assignments;
  for (const auto* campaign : order) {
    for (auto& [id, item] : items_) {
      if (item.campaign == campaign->id && std::ssize(assignments) < claim.count &&
          may_take(item, claim)) {
        assignments.push_back(grant(item, claim, times));
      }
    }
  }
  std::ranges::sort(assignments, {}, &Assignment::lease);
  return assignments;
}

void MemoryDatabase::give_back(const std::vector<Lease>& leases) {
  for (const auto& lease : leases) {
    auto* item = find_item(lease.item);
    if (item == nullptr || item->state != "leased" || item->epoch != lease.epoch) continue;
    end_attempt(*item, End::released);
  }
}

void MemoryDatabase::charge(MemoryItem& item, std::int64_t gpu_time_ms, std::int64_t tokens,
                            std::int64_t cost_micro_usd) {
  auto& campaign = campaigns_.at(item.campaign);
  campaign.consumption.gpu_time_ms += gpu_time_ms;
  campaign.consumption.tokens += tokens;
  campaign.consumption.cost_micro_usd += cost_micro_usd;
  if ((gpu_time_ms <= 0 && tokens <= 0 && cost_micro_usd <= 0) || has_ended(campaign.state)) return;
  append(campaign, {.sequence = 0,
                    .input = search::AttemptCharged{.tokens = tokens,
                                                    .cost_micro_usd = cost_micro_usd,
                                                    .gpu_time_ms = gpu_time_ms},
                    .derived = {}});
}

void MemoryDatabase::make_ready(MemoryItem& item, milliseconds delay) {
  item.state = "ready";
  item.agent_id.clear();
  item.not_before = now + delay;
}

bool MemoryDatabase::is_used_up(const MemoryItem& item) const {
  const auto& definition = campaigns_.at(item.campaign).definition;
  std::int64_t tokens = 0;
  std::int64_t cost = 0;
  for (const auto& [epoch, attempt] : item.attempts) {
    tokens += attempt.tokens;
    cost += attempt.cost_micro_usd;
  }
  const auto& settings = definition.settings;
  return (settings.tokens_reserved > 0 &&
          settings.tokens_reserved - tokens <= definition.output_tokens) ||
         (settings.cost_reserved_micro_usd > 0 && settings.cost_reserved_micro_usd <= cost);
}

std::optional<search::Outcome> MemoryDatabase::find_poison(const MemoryItem& item) const {
  std::set<std::string> agents;
  int overruns = 0;
  bool is_overrun_only = true;
  for (const auto& [epoch, attempt] : item.attempts) {
    if (attempt.outcome != "lost" && attempt.outcome != "overrun") continue;
    agents.insert(attempt.agent_id);
    overruns += attempt.outcome == "overrun" ? 1 : 0;
    is_overrun_only = is_overrun_only && attempt.outcome == "overrun";
  }
  if (std::max(static_cast<int>(agents.size()), overruns) < kKilledAgentsMax) return std::nullopt;
  return is_overrun_only ? search::Outcome::timeout : search::Outcome::crash;
}

void MemoryDatabase::conclude_unreported(MemoryItem& item, search::Outcome outcome) {
  if (item.kind == WorkKind::evaluation) {
    EvaluationResult result;
    result.outcome = outcome;
    return store(item, result, "");
  }
  ProposalResult result;
  result.outcome = ProposalOutcome::infrastructure;
  store(item, result);
}

MemoryDatabase::After MemoryDatabase::end_attempt(MemoryItem& item, End end) {
  auto& attempt = item.attempts.at(item.epoch);
  attempt.outcome = word_of(end);
  attempt.ended_at = now;
  if (end == End::infrastructure && item.kind == WorkKind::proposal && is_used_up(item)) {
    ++item.worker_faults;
    conclude_unreported(item, search::Outcome::infrastructure);
    return After::finished;
  }
  if (end == End::released) {
    make_ready(item, milliseconds(0));
    return After::ready;
  }
  if (end == End::unable || end == End::infrastructure) {
    if (++item.worker_faults >= kWorkerFaultsMax) {
      conclude_unreported(item, search::Outcome::infrastructure);
      return After::finished;
    }
    make_ready(item, retry_delay(item.worker_faults));
    return After::ready;
  }
  ++item.losses;
  if (const auto poison = find_poison(item)) {
    conclude_unreported(item, *poison);
    return After::poisoned;
  }
  if (item.losses >= kLossesMax) {
    conclude_unreported(item, search::Outcome::infrastructure);
    return After::finished;
  }
  make_ready(item, milliseconds(0));
  return After::ready;
}

void MemoryDatabase::store(MemoryItem& item, const EvaluationResult& result,
                           const std::string& agent_name) {
  auto& campaign = campaigns_.at(item.campaign);
  const auto& request = campaign.evaluations.at(item.number);
  item.state = "done";
  item.has_result = true;
  const bool is_failure = result.outcome != search::Outcome::success &&
                          result.outcome != search::Outcome::stopped_early;
  auto& consumption = campaign.consumption;
  (request.is_final ? consumption.final_evaluations : consumption.evaluations) += 1;
  if (is_failure && !request.is_final) ++consumption.evaluations_failed;
  consumption.gpu_time_ms += result.gpu_time_ms;
  if (!agent_name.empty()) campaign.evaluated_by[request.variant.value].insert(agent_name);
  append(campaign, {.sequence = 0,
                    .input = search::EvaluationFinished{.evaluation = {item.number},
                                                        .outcome = result.outcome,
                                                        .metrics = result.metrics,
                                                        .gpu_time_ms = result.gpu_time_ms},
                    .derived = {}});
}

void MemoryDatabase::store(MemoryItem& item, const ProposalResult& result) {
  auto& campaign = campaigns_.at(item.campaign);
  item.state = "done";
  item.has_result = true;
  search::ProposalFinished finished;
  finished.proposal = {item.number};
  finished.is_quota_exhausted = result.outcome == ProposalOutcome::no_quota;
  finished.is_infrastructure = result.outcome == ProposalOutcome::infrastructure;
  for (const auto& call : result.calls) {
    finished.tokens += call.prompt_tokens + call.completion_tokens;
    finished.cost_micro_usd += call.cost_micro_usd;
  }
  for (const auto& variant : result.variants) {
    finished.variants.push_back({variant.token_digest, variant.source_tokens});
  }
  ++campaign.consumption.proposals;
  if (result.variants.empty()) ++campaign.consumption.proposals_failed;
  campaign.consumption.tokens += finished.tokens;
  campaign.consumption.cost_micro_usd += finished.cost_micro_usd;
  append(campaign, {.sequence = 0, .input = std::move(finished), .derived = {}});
}

Result<FinishState> MemoryDatabase::finish(const WorkReport& report) {
  auto* item = find_item(report.lease.item);
  if (item == nullptr) return FinishState{};
  FinishState state{.verdict = Verdict::stale, .campaign = item->campaign};
  const bool is_evaluation = std::holds_alternative<EvaluationResult>(report.result);
  if (is_evaluation != (item->kind == WorkKind::evaluation)) {
    return fail(Errc::invalid_argument, "the item is of the other kind");
  }
  const auto found = item->attempts.find(report.lease.epoch);
  if (found == item->attempts.end() || found->second.agent_id != report.agent_id) return state;
  auto& attempt = found->second;
  if (attempt.outcome == "finished" || attempt.outcome == "infrastructure") {
    state.verdict = Verdict::repeated;
    return state;
  }
  const auto spent = spent_by(report);
  const bool is_held = item->state == "leased" && item->epoch == report.lease.epoch &&
                       item->agent_id == report.agent_id;
  if (!is_held) {
    if (attempt.has_stale_report) return state;
    attempt.has_stale_report = true;
    const auto more = [](std::int64_t& known, std::int64_t said) {
      return std::max<std::int64_t>(0, said - std::exchange(known, said));
    };
    charge(*item, more(attempt.gpu_time_ms, spent.gpu_time_ms), more(attempt.tokens, spent.tokens),
           more(attempt.cost_micro_usd, spent.cost_micro_usd));
    return state;
  }
  attempt.gpu_time_ms = spent.gpu_time_ms;
  attempt.tokens = spent.tokens;
  attempt.cost_micro_usd = spent.cost_micro_usd;
  if (is_infrastructure(report)) {
    charge(*item, spent.gpu_time_ms, spent.tokens, spent.cost_micro_usd);
    const auto after = end_attempt(*item, End::infrastructure);
    state.verdict = after == After::ready ? Verdict::retried : Verdict::accepted;
    return state;
  }
  attempt.outcome = "finished";
  attempt.is_counted = true;
  attempt.ended_at = now;
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    store(*item, *evaluation, attempt.agent_name);
  } else {
    store(*item, std::get<ProposalResult>(report.result));
  }
  state.verdict = Verdict::accepted;
  return state;
}

SweepState MemoryDatabase::sweep(int count, Instant until) {
  SweepState state;
  state.now = now;
  if (now >= until) return state;
  int found = 0;
  for (auto& [id, item] : items_) {
    const bool is_expired = item.expires_at < now;
    if (item.state != "leased" || (!is_expired && item.deadline >= now)) continue;
    if (++found > count) break;
    const auto agent = agents_.find(item.agent_id);
    const bool is_alive = agent != agents_.end() && agent->second.last_sync_at > item.renewed_at;
    auto end = is_alive ? End::dropped : End::lost;
    if (!is_expired) end = End::overrun;
    const auto after = end_attempt(item, end);
    state.ended.push_back({item.kind, word_of(end)});
    if (after == After::poisoned) ++state.poisoned;
    if (after != After::ready) state.campaigns.push_back(item.campaign);
  }
  return state;
}

ReadyCounts MemoryDatabase::count_ready() const {
  ReadyCounts counts;
  for (const auto& [id, item] : items_) {
    if (item.state != "ready" || item.not_before > now ||
        !is_serving(campaigns_.at(item.campaign))) {
      continue;
    }
    ++(item.kind == WorkKind::evaluation ? counts.evaluations : counts.proposals);
  }
  return counts;
}

}  // namespace cambrian::coordinator::simulation
