#include "coordinator/adapters/metrics/observer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator {
namespace {

constexpr double kMillisecondsPerSecond = 1e3;
constexpr double kMicroPerDollar = 1e6;

constexpr const char* kEvaluations = "cambrian_coordinator_evaluations_total";
constexpr const char* kEvaluationsHelp = "Counted evaluations, by outcome";
constexpr const char* kReused = "cambrian_coordinator_evaluations_reused_total";
constexpr const char* kReusedHelp = "Counted evaluations whose result was known from before";
constexpr const char* kTimeSaved = "cambrian_coordinator_time_saved_seconds_total";
constexpr const char* kTimeSavedHelp = "Time that trainings stopped early would have taken";
constexpr const char* kProposals = "cambrian_coordinator_proposals_total";
constexpr const char* kProposalsHelp = "Counted proposals, by outcome";
constexpr const char* kVariants = "cambrian_coordinator_variants_total";
constexpr const char* kVariantsHelp = "Settled variants, by state";
constexpr const char* kJumps = "cambrian_coordinator_jumps_total";
constexpr const char* kJumpsHelp = "Settled variants whose score jumped, by what became of it";
constexpr const char* kAttempts = "cambrian_coordinator_attempts_total";
constexpr const char* kAttemptsHelp = "Ended leases, by kind and outcome";
constexpr const char* kStale = "cambrian_coordinator_stale_reports_total";
constexpr const char* kStaleHelp = "Reports refused because the lease had moved on";
constexpr const char* kTokens = "cambrian_coordinator_tokens_total";
constexpr const char* kTokensHelp = "Tokens of model calls that were reported";
constexpr const char* kCost = "cambrian_coordinator_cost_dollars_total";
constexpr const char* kCostHelp = "Price of model calls that were reported";
constexpr const char* kPhase = "cambrian_coordinator_evaluation_phase_duration_seconds";
constexpr const char* kPhaseHelp = "Where the time of evaluations went";
constexpr const char* kQueue = "cambrian_coordinator_work_queue_duration_seconds";
constexpr const char* kQueueHelp = "From when work was ready until an agent got it";
constexpr const char* kBestScore = "cambrian_coordinator_campaign_best_score";
constexpr const char* kBudgetUsed = "cambrian_coordinator_campaign_budget_used_ratio";

WorkKind kind_of(const WorkReport& report) {
  return std::holds_alternative<EvaluationResult>(report.result) ? WorkKind::evaluation
                                                                 : WorkKind::proposal;
}

bool is_infrastructure(const WorkReport& report) {
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    return evaluation->outcome == search::Outcome::infrastructure;
  }
  return std::get<ProposalResult>(report.result).outcome == ProposalOutcome::infrastructure;
}

std::int64_t value_or_zero(const std::map<std::string, std::int64_t>& values,
                           const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? 0 : found->second;
}

/// The count under "kind/state".
double count_of(const std::map<std::string, std::int64_t>& values, std::string key,
                const std::string& state) {
  key.append("/").append(state);
  return static_cast<double>(value_or_zero(values, key));
}

}  // namespace

MetricsObserver::MetricsObserver(metrics::Registry& registry, const std::string& version)
    : registry_(registry),
      step_duration_(registry.histogram("cambrian_coordinator_step_duration_seconds",
                                        "One step of a campaign: handle and store",
                                        metrics::duration_buckets())),
      last_evaluation_(registry.gauge("cambrian_coordinator_last_evaluation_timestamp_seconds",
                                      "When the last evaluation was counted, Unix time")) {
  registry
      .gauge("cambrian_coordinator_build_info", "Version of this program", {{"version", version}})
      .set(1);
  register_known_series();
}

void MetricsObserver::register_known_series() {
  for (const auto outcome : kWords<search::Outcome>) {
    counter(kEvaluations, kEvaluationsHelp, {{"outcome", std::string(outcome)}});
  }
  for (const auto outcome : kWords<ProposalOutcome>) {
    counter(kProposals, kProposalsHelp, {{"outcome", std::string(outcome)}});
  }
  for (const char* state : {"evaluated", "failed", "duplicate"}) {
    counter(kVariants, kVariantsHelp, {{"state", state}});
  }
  for (const char* confirmation : {"confirmed", "disputed", "unconfirmed"}) {
    counter(kJumps, kJumpsHelp, {{"confirmation", confirmation}});
  }
  for (const char* kind : {"evaluation", "proposal"}) {
    registry_.histogram(kQueue, kQueueHelp, metrics::duration_buckets(), {{"kind", kind}});
    counter(kStale, kStaleHelp, {{"kind", kind}});
    for (const char* outcome : {"finished", "infrastructure", "released", "unable", "lost",
                                "dropped", "overrun", "cancelled"}) {
      counter(kAttempts, kAttemptsHelp, {{"kind", kind}, {"outcome", outcome}});
    }
  }
  for (const char* kind : {"prompt", "completion"}) counter(kTokens, kTokensHelp, {{"kind", kind}});
  counter(kCost, kCostHelp, {});
  counter(kReused, kReusedHelp, {});
  counter(kTimeSaved, kTimeSavedHelp, {});
}

metrics::Counter MetricsObserver::counter(const char* name, const char* help,
                                          const metrics::Labels& labels) {
  return registry_.counter(name, help, labels);
}

void MetricsObserver::count_attempt(WorkKind kind, const std::string& outcome) {
  counter(kAttempts, kAttemptsHelp, {{"kind", word(kind)}, {"outcome", outcome}}).add();
}

void MetricsObserver::on_assigned(WorkKind kind, const std::vector<Assignment>& assignments) {
  auto queue =
      registry_.histogram(kQueue, kQueueHelp, metrics::duration_buckets(), {{"kind", word(kind)}});
  for (const auto& assignment : assignments) {
    queue.observe(static_cast<double>(assignment.waited.count()) / kMillisecondsPerSecond);
  }
}

void MetricsObserver::on_report(const WorkReport& report, const FinishState& state) {
  if (state.verdict == Verdict::repeated) return;
  const auto kind = kind_of(report);
  if (const auto* proposal = std::get_if<ProposalResult>(&report.result)) {
    for (const auto& call : proposal->calls) {
      counter(kTokens, kTokensHelp, {{"kind", "prompt"}})
          .add(static_cast<double>(call.prompt_tokens));
      counter(kTokens, kTokensHelp, {{"kind", "completion"}})
          .add(static_cast<double>(call.completion_tokens));
      counter(kCost, kCostHelp, {}).add(static_cast<double>(call.cost_micro_usd) / kMicroPerDollar);
    }
  }
  if (state.verdict == Verdict::stale || state.verdict == Verdict::unknown) {
    counter(kStale, kStaleHelp, {{"kind", word(kind)}}).add();
    return;
  }
  count_attempt(kind, is_infrastructure(report) ? "infrastructure" : "finished");
  if (state.verdict != Verdict::accepted) return;
  if (const auto* evaluation = std::get_if<EvaluationResult>(&report.result)) {
    for (const auto& [phase, time_ms] : evaluation->timings_ms) {
      registry_.histogram(kPhase, kPhaseHelp, metrics::duration_buckets(), {{"phase", phase}})
          .observe(time_ms / kMillisecondsPerSecond);
    }
    counter(kTimeSaved, kTimeSavedHelp, {})
        .add(static_cast<double>(evaluation->time_saved_ms) / kMillisecondsPerSecond);
    return;
  }
  counter(kProposals, kProposalsHelp,
          {{"outcome", word(std::get<ProposalResult>(report.result).outcome)}})
      .add();
}

void MetricsObserver::on_attempts_ended(const std::vector<EndedAttempt>& ended) {
  for (const auto& attempt : ended) count_attempt(attempt.kind, attempt.outcome);
}

void MetricsObserver::on_step(const std::vector<Input>& inputs, const DriverStep& step,
                              const StepState& state, milliseconds duration) {
  step_duration_.observe(static_cast<double>(duration.count()) / kMillisecondsPerSecond);
  on_attempts_ended(state.cancelled);
  if (state.evaluations_reused > 0) {
    counter(kReused, kReusedHelp, {}).add(static_cast<double>(state.evaluations_reused));
  }
  for (const auto& input : inputs) {
    const auto* finished = std::get_if<search::EvaluationFinished>(&input.event);
    if (finished == nullptr) continue;
    counter(kEvaluations, kEvaluationsHelp, {{"outcome", word(finished->outcome)}}).add();
    last_evaluation_.set(
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
  }
  for (const auto& command : step.commands) {
    if (const auto* settled = std::get_if<search::SettleVariant>(&command)) {
      counter(kVariants, kVariantsHelp, {{"state", word(settled->state)}}).add();
      if (settled->jump_score) {
        counter(kJumps, kJumpsHelp, {{"confirmation", word(settled->confirmation)}}).add();
      }
    }
  }
}

void MetricsObserver::on_overview(const Overview& overview) {
  for (const auto state : kWords<CampaignState>) {
    registry_
        .gauge("cambrian_coordinator_campaigns", "Campaigns in each state",
               {{"state", std::string(state)}})
        .set(static_cast<double>(value_or_zero(overview.campaigns, std::string(state))));
  }
  for (const std::string kind : {"evaluation", "proposal"}) {
    const std::string agent = kind == "evaluation" ? "worker" : "codegen";
    for (const std::string state : {"ready", "leased"}) {
      registry_
          .gauge("cambrian_coordinator_work_items", "Open work", {{"kind", kind}, {"state", state}})
          .set(count_of(overview.items, kind, state));
    }
    for (const std::string state : {"alive", "draining", "quarantined", "in_trouble", "lost"}) {
      registry_
          .gauge("cambrian_coordinator_agents", "Agents seen within a day",
                 {{"kind", agent}, {"state", state}})
          .set(count_of(overview.agents, agent, state));
    }
    const auto slots = value_or_zero(overview.slots, agent);
    const auto busy = value_or_zero(overview.items, kind + "/leased");
    const auto set_slots = [&](const char* state, std::int64_t count) {
      registry_
          .gauge("cambrian_coordinator_slots", "Slots of living agents",
                 {{"kind", agent}, {"state", state}})
          .set(static_cast<double>(count));
    };
    set_slots("busy", busy);
    set_slots("free", std::max<std::int64_t>(0, slots - busy));
  }
  const auto open = value_or_zero(overview.items, "evaluation/ready") +
                    value_or_zero(overview.items, "evaluation/leased");
  const auto workers = value_or_zero(overview.agents, "worker/alive");
  const auto slots = value_or_zero(overview.slots, "worker");
  const double per_worker =
      workers > 0 && slots > 0 ? static_cast<double>(slots) / static_cast<double>(workers) : 1;
  registry_.gauge("cambrian_coordinator_workers_wanted", "Workers that the open work could use")
      .set(std::ceil(static_cast<double>(open) / per_worker));
  registry_
      .gauge("cambrian_coordinator_database_oldest_transaction_seconds",
             "Age of the oldest open transaction: it holds back the clean-up of dead rows")
      .set(static_cast<double>(overview.oldest_transaction_ms) / kMillisecondsPerSecond);
}

void MetricsObserver::set_campaign_gauge(const char* name, const char* help,
                                         const metrics::Labels& labels, double value) {
  registry_.gauge(name, help, labels).set(value);
  campaign_series_new_.insert({name, labels});
}

void MetricsObserver::set_budget(const CampaignRecord& record, const std::string& budget,
                                 double used, std::int64_t limit) {
  if (limit <= 0) return;
  set_campaign_gauge(kBudgetUsed, "Share of a budget that is used",
                     {{"campaign", record.name}, {"budget", budget}},
                     used / static_cast<double>(limit));
}

void MetricsObserver::on_campaigns(const std::vector<CampaignRecord>& active) {
  campaign_series_new_.clear();
  for (const auto& record : active) {
    if (record.best_score) {
      set_campaign_gauge(kBestScore, "Score of the best variant", {{"campaign", record.name}},
                         *record.best_score);
    }
    const auto& used = record.consumption;
    set_budget(record, "evaluations", static_cast<double>(used.evaluations),
               record.budget.evaluations);
    set_budget(record, "tokens", static_cast<double>(used.tokens), record.budget.tokens);
    set_budget(record, "cost", static_cast<double>(used.cost_micro_usd),
               record.budget.cost_micro_usd);
    set_budget(record, "gpu_time", static_cast<double>(used.gpu_time_ms),
               record.budget.gpu_time_ms);
    set_budget(record, "wall_time", static_cast<double>(used.running_ms),
               record.budget.wall_time_ms);
  }
  for (const auto& series : campaign_series_) {
    if (!campaign_series_new_.contains(series)) registry_.remove_gauge(series.first, series.second);
  }
  campaign_series_.swap(campaign_series_new_);
}

}  // namespace cambrian::coordinator
