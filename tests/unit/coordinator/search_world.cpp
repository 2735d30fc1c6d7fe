#include "tests/unit/coordinator/search_world.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

namespace cambrian::search {
namespace {

Budget random_budget(Rng& rng) {
  Budget budget;
  do {
    if (rng.chance(0.7)) budget.evaluations = rng.between(1, 60);
    if (rng.chance(0.2)) budget.tokens = rng.between(1, 3000);
    if (rng.chance(0.2)) budget.cost_micro_usd = rng.between(1, 3000);
    if (rng.chance(0.2)) budget.gpu_time_ms = rng.between(1, 3000);
    if (rng.chance(0.2)) budget.wall_time_ms = rng.between(1, 3000);
  } while (budget == Budget{});
  return budget;
}

}  // namespace

Settings random_settings(Rng& rng) {
  Settings settings;
  settings.seed = rng.next();
  const Goal goal = rng.chance(0.5) ? Goal::maximize : Goal::minimize;
  settings.objectives = {{"score", goal, std::nullopt}};
  if (rng.chance(0.2)) settings.objectives[0].target = goal == Goal::maximize ? 0.97 : 0.03;
  settings.policy = rng.pick(std::vector<PolicyKind>{
      PolicyKind::random, PolicyKind::hill_climb, PolicyKind::islands, PolicyKind::islands,
      PolicyKind::sequential, PolicyKind::pareto, PolicyKind::clade});
  if (rng.chance(0.5)) settings.objectives.push_back({"size", Goal::minimize, std::nullopt});
  if (rng.chance(0.2)) settings.constraints = {{"size", std::nullopt, 0.5}};
  settings.islands = static_cast<int>(rng.between(1, 4));
  settings.island_size = static_cast<int>(rng.between(1, 6));
  settings.migration_interval = static_cast<int>(rng.between(1, 10));
  settings.migration_fraction = rng.pick(std::vector<double>{0, 0.1, 0.5, 1});
  if (rng.chance(0.5)) settings.reset_interval = static_cast<int>(rng.between(1, 12));
  if (rng.chance(0.5)) settings.climb_from = 0.1 + rng.uniform();
  settings.features = {{"source_tokens", 4, 1, 100, true}};
  if (rng.chance(0.5)) settings.features.push_back({"size", 3, 0, 1, false});
  settings.children = static_cast<int>(rng.between(1, 5));
  settings.generations = static_cast<int>(rng.between(1, 4));
  settings.operators = {{Operator::diff, 0.5}, {Operator::rewrite, 0.2}, {Operator::crossover, 1}};
  if (rng.chance(0.5)) settings.operators.push_back({Operator::tune, 0.1 + 3 * rng.uniform()});
  if (may_repair(settings.policy) && rng.chance(0.5)) {
    settings.operators.push_back({Operator::repair, 0.1 + 3 * rng.uniform()});
  }
  if (rng.chance(0.3)) settings.operators.push_back({Operator::simplify, 0.2});
  settings.learns_shares = rng.chance(0.3);
  settings.tune_evaluations = static_cast<int>(rng.between(4, 30));
  settings.exploitation = rng.uniform();
  if (settings.policy == PolicyKind::islands) {
    settings.selection = rng.pick(std::vector<Selection>{
        Selection::rank, Selection::tournament, Selection::novelty, Selection::upper_bound});
  }
  settings.inspirations = static_cast<int>(rng.between(0, 3));
  settings.failures = static_cast<int>(rng.between(0, 3));
  settings.repeats = static_cast<int>(rng.chance(0.5) ? 1 : rng.between(2, 5));
  if (rng.chance(0.3)) settings.noise_repeats = static_cast<int>(rng.between(2, 5));
  settings.final_repeats = static_cast<int>(rng.between(0, 2));
  if (rng.chance(0.5)) settings.confirm_sigma = rng.pick(std::vector<double>{0.1, 1, 3});
  settings.evaluations_parallel = static_cast<int>(rng.between(1, 9));
  settings.proposals_parallel = static_cast<int>(rng.between(1, 4));
  settings.variants_per_proposal = static_cast<int>(rng.between(1, 4));
  settings.models = {{"small", 3, 0.8}, {"large", 1, std::nullopt}};
  settings.tokens_reserved = rng.chance(0.5) ? 0 : 100;
  settings.cost_reserved_micro_usd = rng.chance(0.5) ? 0 : 100;
  settings.budget = random_budget(rng);
  if (!validate(settings).empty()) settings.noise_repeats = 0;  // The budget is too small for it.
  settings.races = rng.chance(0.7);
  if (!validate(settings).empty()) settings.races = false;
  return settings;
}

void expect(bool is_true, const char* what) {
  if (!is_true) FAIL(what);
}

void check_is_no_work(const Command& command) {
  expect(!std::holds_alternative<RequestProposal>(command) &&
             !std::holds_alternative<RequestEvaluation>(command),
         "a paused campaign requests nothing");
}

void check_repair(const RequestProposal& request, const Settings& settings, Shadow& shadow) {
  const VariantNumber broken = request.parents.front();
  expect(request.failures == request.parents, "what is repaired is shown with its diagnostics");
  expect(shadow.settled.at(broken).state == VariantState::failed, "what is repaired has failed");
  expect(shadow.repaired.insert(broken).second, "nothing is repaired twice");
  int in_row = 1;
  for (auto at = broken; shadow.variants.at(at).operation == Operator::repair; ++in_row) {
    at = shadow.variants.at(at).parents.front();
  }
  expect(in_row <= kRepairsMax, "a program is beyond repair after some repairs in a row");
  if (settings.policy != PolicyKind::islands) return;
  const std::optional<int> island = shadow.variants.at(broken).island;
  expect(island == request.proposal.value % settings.islands, "an island repairs its own failures");
  shadow.island_of[request.proposal] = island;
}

bool has_succeeded(const EvaluationFinished& event) {
  return event.outcome == Outcome::success && event.metrics.contains("score") &&
         std::ranges::all_of(event.metrics,
                             [](const auto& metric) { return std::isfinite(metric.second); });
}

bool is_doubted(const SettleVariant& settled) {
  return settled.confirmation == Confirmation::disputed ||
         settled.confirmation == Confirmation::unconfirmed;
}

void note_score(const RequestEvaluation& request, const EvaluationFinished& event,
                const Settings& settings, Shadow& shadow) {
  auto& scores = shadow.scores[request.variant];
  const bool is_own = !request.jump && std::ssize(scores) < settings.repeats;
  if (is_own && has_succeeded(event)) scores[event.evaluation] = event.metrics.at("score");
}

void check_race(const SettleVariant& command, const Settings& settings, Shadow& shadow) {
  if (!settings.races || command.state != VariantState::evaluated) return;
  if (!shadow.best || shadow.best->violation > 0) return;
  const auto values_of = [&shadow](VariantNumber variant) {
    std::vector<double> values;
    for (const auto& [number, score] : shadow.scores.at(variant)) values.push_back(score);
    return values;
  };
  const auto lost = find_lost_score(settings.objectives[0].goal, values_of(command.variant),
                                    values_of(shadow.best->variant), shadow.noise);
  if (!lost) return;
  // The end of the search may withdraw a repeat, after the best has changed.
  const bool is_cut_short = shadow.phase != Phase::running && command.score != lost;
  expect(is_cut_short || command.score == lost, "who loses a race has the score it suggests");
  if (!is_cut_short) shadow.lost.insert(command.variant);
}

void check_turn(const RequestEvaluation& request, const Settings& settings, const Shadow& shadow) {
  if (!settings.races || request.variant.value == 0) return;
  for (const auto& [number, open] : shadow.evaluations) {
    expect(number == request.evaluation || open.variant != request.variant,
           "in a race repeats follow one after the other");
  }
}

void check_verdicts(const Settings& settings, const Shadow& shadow, std::int64_t duplicates) {
  int cut_short = 0;
  for (const auto& [number, variant] : shadow.variants) {
    const auto results = shadow.results.find(number);
    const int finished = results == shadow.results.end() ? 0 : results->second;
    const auto settled = shadow.settled.find(number);
    if (settled == shadow.settled.end()) {
      expect(finished == 0, "what has a result is settled");
      expect(shadow.reason != EndReason::evaluations, "the budget leaves no variant out");
      continue;
    }
    if (settled->second.state == VariantState::duplicate) --duplicates;
    if (settled->second.state != VariantState::evaluated) continue;
    if (finished < settings.repeats && !shadow.lost.contains(number)) ++cut_short;
  }
  expect(duplicates == 0, "duplicates are counted");
  expect(shadow.reason != EndReason::evaluations || cut_short <= 1,
         "the budget cuts one variant short at most");
}

Agents::Agents(Rng& rng)
    : fails_(rng.uniform() * (rng.chance(0.1) ? 1 : 0.5)),
      duplicates_(rng.uniform() * (rng.chance(0.1) ? 1 : 0.4)),
      empty_(rng.uniform() * (rng.chance(0.1) ? 1 : 0.4)) {}

ProposalFinished Agents::answer_to(const RequestProposal& request, Rng& rng) {
  ProposalFinished event;
  event.proposal = request.proposal;
  event.tokens = rng.between(1, 100);
  event.cost_micro_usd = rng.between(1, 100);
  event.is_quota_exhausted = rng.chance(0.0005);
  if (rng.chance(empty_)) return event;
  const std::int64_t count = rng.between(1, request.variants + 2);
  for (std::int64_t i = 0; i < count; ++i) {
    if (!rng.chance(duplicates_)) ++digests_;
    const std::int64_t digest = rng.chance(duplicates_) ? rng.between(0, digests_) : digests_;
    event.variants.push_back({"digest " + std::to_string(digest), rng.between(1, 120)});
  }
  return event;
}

EvaluationFinished Agents::result_of(const RequestEvaluation& request, Rng& rng) {
  EvaluationFinished event;
  event.evaluation = request.evaluation;
  event.gpu_time_ms = rng.between(1, 60);
  // Coarse scores, so that ties are common.
  event.metrics = {{"score", static_cast<double>(rng.between(0, 40)) / 40},
                   {"size", rng.uniform()}};
  // Another worker mostly agrees.
  if (request.jump && rng.chance(0.6)) event.metrics["score"] = request.jump->score;
  const bool is_seed = request.variant == VariantNumber{0};
  if (!rng.chance(is_seed ? fails_ / 20 : fails_)) return event;
  const auto kind = rng.below(4);
  if (kind == 0) event.metrics["score"] = std::numeric_limits<double>::quiet_NaN();
  if (kind == 1) event.metrics["size"] = std::numeric_limits<double>::infinity();
  if (kind == 2) event.metrics.erase("score");
  if (kind == 3) event.outcome = static_cast<Outcome>(rng.between(1, 8));
  return event;
}

double JumpShadow::gain(double score, double best) const {
  return settings_.objectives[0].goal == Goal::maximize ? score - best : best - score;
}

double JumpShadow::sigma() const {
  if (noise_ > 0) return noise_;
  if (gains_.empty()) return 0;
  std::vector<double> sorted(gains_.begin(), gains_.end());
  std::ranges::sort(sorted);
  return sorted[(sorted.size() - 1) / 2];
}

Scored JumpShadow::scored(VariantNumber variant, const EvaluationFinished& event) const {
  return {variant, event.metrics.at("score"),
          violation_of(settings_.constraints, 0, event.metrics)};
}

bool JumpShadow::is_confirmed(const Check& check) const {
  if (!has_succeeded(*check.result)) return false;
  const Jump& jump = *check.request.jump;
  const Scored second = scored(check.request.variant, *check.result);
  return Ranking(settings_.objectives[0].goal)(second, check.best) &&
         gain(second.score, jump.best) >= gain(jump.score, jump.best) / 2;
}

void JumpShadow::take(const RequestEvaluation& request, const EvaluationFinished& event) {
  if (request.jump) checks_.at(request.variant).result = event;
}

void JumpShadow::apply(const RequestEvaluation& request) {
  const bool is_new = seeds_[request.variant].insert(request.seed).second;
  if (!request.jump) return;
  expect(settings_.confirm_sigma > 0, "jumps are confirmed where that was asked for");
  expect(is_new, "a jump is confirmed with a seed of its own");
  expect(!shadow_.settled.contains(request.variant), "a jump is confirmed before it settles");
  expect(shadow_.results.at(request.variant) == settings_.repeats,
         "a jump is confirmed behind the variant's own evaluations");
  expect(request.jump->best == shadow_.best->score && request.jump->sigma == sigma() &&
             gain(request.jump->score, request.jump->best) > settings_.confirm_sigma * sigma(),
         "a jump beats the best by more than so many sigma");
  for (const auto& [number, open] : shadow_.evaluations) {
    expect(number == request.evaluation || !open.jump, "one jump at a time is confirmed");
  }
  const Check check{.request = request, .best = *shadow_.best, .result = {}};
  expect(checks_.emplace(request.variant, check).second, "a jump is confirmed once");
}

void JumpShadow::apply(const SettleVariant& command) {
  const auto found = checks_.find(command.variant);
  const Check* check = found != checks_.end() && found->second.result ? &found->second : nullptr;
  switch (command.confirmation) {
    case Confirmation::none:
      expect(check == nullptr && !command.jump_score, "what was confirmed says so");
      return;
    case Confirmation::unconfirmed:
      expect(check == nullptr && command.score == command.jump_score,
             "what is unconfirmed has its own score");
      expect(shadow_.phase != Phase::running, "a jump waits until the search ends");
      return;
    case Confirmation::confirmed:
      expect(check != nullptr && is_confirmed(*check), "another evaluation agrees");
      expect(command.score == check->request.jump->score, "the score is the first one");
      return;
    case Confirmation::disputed: break;
  }
  expect(check != nullptr && !is_confirmed(*check), "another evaluation differs");
  expect(command.jump_score == check->request.jump->score, "tells the score that jumped");
  if (!has_succeeded(*check->result)) {
    expect(command.state == VariantState::failed && !command.second_score, "a failure is worse");
    return;
  }
  const Scored second = scored(command.variant, *check->result);
  expect(command.second_score == second.score, "tells the other score");
  expect(command.score == second.score || command.score == command.jump_score,
         "the score is one of both");
  expect(!settings_.constraints.empty() || (gain(*command.score, second.score) <= 0 &&
                                            gain(*command.score, *command.jump_score) <= 0),
         "the score is the worse one");
}

void JumpShadow::apply(const SetBest& command, const Scored& now) {
  if (!shadow_.best) return;
  const double gained = gain(now.score, shadow_.best->score);
  expect(settings_.confirm_sigma == 0 || gained <= settings_.confirm_sigma * sigma() ||
             shadow_.settled.at(command.variant).confirmation == Confirmation::confirmed,
         "what jumps is confirmed before it is the best");
  if (gained > 0) gains_.push_back(gained);
  if (gains_.size() > 32) gains_.pop_front();
}

}  // namespace cambrian::search
