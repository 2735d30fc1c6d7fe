#include "coordinator/search/search.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace cambrian::search {
namespace {

constexpr VariantNumber kSeed{0};

std::uint64_t unsigned_of(std::int64_t number) { return static_cast<std::uint64_t>(number); }

/// 128 bits of a digest that came as text: two FNV-1a hashes, forwards and backwards. Enough to
/// tell millions of programs apart without keeping the text.
std::pair<std::uint64_t, std::uint64_t> digest_key(std::string_view digest) {
  constexpr std::uint64_t kPrime = 0x100000001b3U;
  std::pair<std::uint64_t, std::uint64_t> key{0xcbf29ce484222325U, 0x84222325cbf29ce4U};
  for (std::size_t i = 0; i < digest.size(); ++i) {
    key.first = (key.first ^ static_cast<unsigned char>(digest[i])) * kPrime;
    key.second = (key.second ^ static_cast<unsigned char>(digest[digest.size() - 1 - i])) * kPrime;
  }
  return key;
}

template <class Share>
std::vector<double> weights_of(const std::vector<Share>& shares) {
  std::vector<double> weights;
  weights.reserve(shares.size());
  for (const Share& share : shares) weights.push_back(share.weight);
  return weights;
}

template <class Map>
auto keys_of(const Map& map) {
  std::vector<typename Map::key_type> keys;
  keys.reserve(map.size());
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

Settings checked(Settings settings) {
  CAMBRIAN_ASSERT(validate(settings).empty());
  return settings;
}

bool is_paid_by_proposal(EndReason reason) {
  return reason == EndReason::tokens || reason == EndReason::cost;
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::success: return "success";
    case Outcome::compile_error: return "compile_error";
    case Outcome::crash: return "crash";
    case Outcome::timeout: return "timeout";
    case Outcome::out_of_memory: return "out_of_memory";
    case Outcome::bad_output: return "bad_output";
    case Outcome::not_finite: return "not_finite";
    case Outcome::resource_exceeded: return "resource_exceeded";
    case Outcome::infrastructure: return "infrastructure";
    case Outcome::stopped_early: return "stopped_early";
  }
  return "unknown";
}

Search::Search(Settings settings)
    : settings_(checked(std::move(settings))),
      rng_(settings_.seed),
      ranking_(settings_.objectives.front().goal),
      ledger_(settings_),
      gate_(settings_),
      policy_(make_policy(settings_)),
      tuner_(settings_),
      operators_(weights_of(settings_.operators)),
      models_(weights_of(settings_.models)) {}

std::vector<ProposalNumber> Search::open_proposals() const { return keys_of(proposals_); }
std::vector<EvaluationNumber> Search::open_evaluations() const { return keys_of(evaluations_); }

std::vector<Command> Search::handle(const Event& event) {
  CAMBRIAN_ASSERT(is_started_ != std::holds_alternative<Started>(event));
  std::visit([this](const auto& value) { on(value); }, event);
  review_jumps();
  if (!is_paused_) advance();
  return std::exchange(commands_, {});
}

// ---- Events: count, enter, settle. ----

void Search::on(const Started& event) {
  is_started_ = true;
  AddVariant command;
  command.variant = kSeed;
  add_variant({event.seed_token_digest, event.seed_source_tokens}, std::move(command), {});
}

void Search::on(const ProposalFinished& event) {
  const auto found = proposals_.find(event.proposal);
  const bool is_open = found != proposals_.end();
  if (!is_open && cancelled_proposals_.erase(event.proposal) == 0) return;
  ++ledger_.used.proposals;
  if (event.variants.empty()) ++ledger_.used.proposals_failed;
  ledger_.add_proposal_cost(event.tokens, event.cost_micro_usd);
  if (!is_open) return;

  OpenProposal proposal = std::move(found->second);
  proposals_.erase(found);
  variants_expected_ -= proposal.variants;
  // One that brought no variant took the place of one that may have.
  const std::int64_t count = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(event.variants.size()), 1, proposal.variants);
  proposal.origin.cost =
      ledger_.share_of(count * settings_.repeats, event.tokens, event.cost_micro_usd) /
      static_cast<double>(count);
  if (proposal.is_reserved()) ledger_.release_proposal();
  if (proposal.origin.sample && event.variants.empty()) {
    tuner_.tell(*proposal.origin.sample, std::nullopt);
  }
  is_quota_exhausted_ = is_quota_exhausted_ || event.is_quota_exhausted;
  // An outage ends no search: each such proposal was tried over and over already, which takes time
  // enough, and what the user sees is that the campaign waits.
  if (event.variants.empty() && event.is_infrastructure) return;
  if (event.variants.empty()) learn(proposal.origin, std::nullopt);
  failed_proposals_in_row_ = event.variants.empty() ? failed_proposals_in_row_ + 1 : 0;
  ++fruitless_proposals_in_row_;  // A new variant sets it back.
  add_new_variants(event, proposal);
}

void Search::on(const EvaluationFinished& event) {
  const auto found = evaluations_.find(event.evaluation);
  if (found == evaluations_.end()) {
    if (cancelled_evaluations_.erase(event.evaluation) > 0) ledger_.add_gpu_time(event.gpu_time_ms);
    return;
  }
  const OpenEvaluation evaluation = found->second;
  evaluations_.erase(found);
  ledger_.add_gpu_time(event.gpu_time_ms);
  if (evaluation.plan.final_repeat) {
    ++ledger_.used.final_evaluations;
    return;
  }
  if (evaluation.plan.noise_repeat) return finish_noise(event, *evaluation.plan.noise_repeat);
  if (evaluation.plan.is_confirmation) return finish_confirmation(event, evaluation.plan.variant);
  OpenVariant& variant = variants_.at(evaluation.plan.variant);
  ++ledger_.used.evaluations;
  evaluations_unissued_ -= variant.trial.unissued();
  if (!variant.trial.finish(evaluation.repeat, event.outcome, event.metrics)) {
    if (event.outcome != Outcome::stopped_early) ++ledger_.used.evaluations_failed;
    std::erase_if(backlog_,
                  [&](const Planned& plan) { return plan.variant == evaluation.plan.variant; });
  } else {
    end_if_lost(evaluation.plan.variant, variant);
  }
  evaluations_unissued_ += variant.trial.unissued();
  queue_evaluations(evaluation.plan.variant, variant);
  settle_if_complete(evaluation.plan.variant);
  policy_->count_evaluations(ledger_.used.evaluations);
}

void Search::on(const ConstantsFound& event) {
  tuner_.take(event.variant, event.constants,
              rng_.split("tune").split(unsigned_of(event.variant.value)));
}

void Search::on(const AttemptCharged& event) {
  ledger_.add_proposal_cost(event.tokens, event.cost_micro_usd);
  ledger_.add_gpu_time(event.gpu_time_ms);
}

void Search::on(const PauseRequested& /*event*/) {
  if (is_paused_ || phase_ == Phase::ended) return;
  is_paused_ = true;
  emit(SetPhase{Phase::paused, end_.reason, end_.explanation});
}

void Search::on(const ResumeRequested& /*event*/) {
  if (!is_paused_) return;
  is_paused_ = false;
  set_phase(phase_);
}

void Search::on(const StopRequested& event) {
  if (phase_ == Phase::ended) return;
  is_paused_ = false;
  begin_draining({EndReason::user, "stopped by the user"});
  cancel_evaluations({event.begun.begin(), event.begun.end()});
}

void Search::on(const TimePassed& event) { ledger_.set_wall_time(event.running_ms); }

// ---- What follows. ----

void Search::advance() {
  if (phase_ == Phase::running) {
    if (auto end = find_end()) begin_draining(std::move(*end));
  }
  if (phase_ == Phase::running) {
    request_confirmation();
    request_evaluations();
    request_proposals();
    // Otherwise nothing would ever happen again.
    CAMBRIAN_ASSERT(!evaluations_.empty() || !proposals_.empty());
  }
  if (phase_ == Phase::draining) {
    if (ledger_.is_time_over()) drop_backlog();
    request_confirmation();
    request_evaluations();
    if (evaluations_.empty()) leave_draining();
  }
  if (phase_ == Phase::finalizing) {
    request_evaluations();
    if (evaluations_.empty()) set_phase(Phase::ended);
  }
}

std::optional<End> Search::find_end() const {
  if (seed_failure_) {
    return End{EndReason::failure,
               "the seed does not evaluate: outcome=" + std::string(to_string(*seed_failure_))};
  }
  const std::optional<double> target = settings_.objectives.front().target;
  if (best_ && best_->violation == 0 && target && ranking_.reaches(best_->score, *target)) {
    return End{EndReason::target, "target reached: score=" + std::to_string(best_->score) +
                                      " target=" + std::to_string(*target) +
                                      " variant=" + std::to_string(best_->variant.value)};
  }
  if (auto reached = ledger_.find_reached()) return reached;
  if (is_quota_exhausted_) {
    return End{EndReason::failure, "the model provider's account is exhausted: top it up"};
  }
  if (failed_proposals_in_row_ >= kFailedProposalsMax) {
    return End{EndReason::failure, "no variant came from any of the last proposals: proposals=" +
                                       std::to_string(failed_proposals_in_row_)};
  }
  if (fruitless_proposals_in_row_ >= kFruitlessProposalsMax) {
    return End{EndReason::failure,
               "the last proposals brought nothing but duplicates and failures: proposals=" +
                   std::to_string(fruitless_proposals_in_row_)};
  }
  return std::nullopt;
}

void Search::request_evaluations() {
  const auto limit = static_cast<std::size_t>(settings_.evaluations_parallel);
  while (!backlog_.empty() && evaluations_.size() < limit) {
    const Planned plan = backlog_.front();
    const auto open = static_cast<std::int64_t>(evaluations_.size());
    if (!plan.final_repeat && ledger_.evaluations_left(open) == 0) return;
    backlog_.pop_front();
    const EvaluationNumber number{++last_evaluation_};
    OpenEvaluation evaluation{plan, 0};
    if (!plan.final_repeat) --evaluations_unissued_;
    if (plan.is_of_trial()) evaluation.repeat = variants_.at(plan.variant).trial.issue();
    evaluations_.emplace(number, evaluation);
    emit(RequestEvaluation{number, plan.variant, plan.split,
                           seed_of(plan, number, evaluation.repeat),
                           plan.final_repeat.has_value()});
  }
}

std::uint64_t Search::seed_of(const Planned& plan, EvaluationNumber number, int repeat) const {
  // By the repeat and not the number: both finalists get the same seeds.
  if (plan.final_repeat) return rng_.split("final").split(unsigned_of(*plan.final_repeat)).next();
  if (plan.noise_repeat) return rng_.split("noise").split(unsigned_of(*plan.noise_repeat)).next();
  if (settings_.evaluation_seed) {
    return Rng(*settings_.evaluation_seed).split("evaluation").split(unsigned_of(repeat)).next();
  }
  return rng_.split("evaluation").split(unsigned_of(number.value)).next();
}

// ---- Variants. ----

void Search::add_new_variants(const ProposalFinished& event, const OpenProposal& proposal) {
  const auto asked = static_cast<std::size_t>(proposal.variants);
  for (std::size_t i = 0; i < std::min(event.variants.size(), asked); ++i) {
    AddVariant command;
    command.variant = VariantNumber{ledger_.used.variants};
    command.proposal = event.proposal;
    command.index = i;
    add_variant(event.variants[i], std::move(command), proposal.origin);
  }
}

void Search::add_variant(const NewVariant& variant, AddVariant command, Origin origin) {
  ++ledger_.used.variants;
  const VariantNumber number = command.variant;
  command.parents = origin.parents;
  command.operation = origin.operation;
  command.generation = origin.generation;
  const auto [known, is_new] = digests_.emplace(digest_key(variant.token_digest), number);
  if (!is_new) {
    ++ledger_.used.duplicates;
    command.duplicate_of = known->second;
    if (origin.sample) tuner_.tell(*origin.sample, std::nullopt);
    learn(origin, std::nullopt);
    emit(std::move(command));
    emit(SettleVariant{number, VariantState::duplicate, Outcome::success, {}, std::nullopt});
    return;
  }
  fruitless_proposals_in_row_ = 0;
  if (origin.sample) tuner_.note(number);
  command.island = origin.island;
  emit(std::move(command));
  evaluations_unissued_ += settings_.repeats;
  Trial trial(settings_.repeats, settings_.objectives.front().metric,
              settings_.races && number != kSeed);
  const auto [added, is_added] = variants_.emplace(
      number, OpenVariant{std::move(origin), variant.source_tokens, std::move(trial)});
  CAMBRIAN_ASSERT(is_added);
  queue_evaluations(number, added->second);
}

void Search::queue_evaluations(VariantNumber number, OpenVariant& variant) {
  for (int count = variant.trial.queue_next(); count > 0; --count) {
    backlog_.push_back({number, std::nullopt, Split::validation});
  }
}

void Search::end_if_lost(VariantNumber number, OpenVariant& variant) {
  if (!settings_.races || number == kSeed || !best_ || best_->violation > 0) return;
  const auto score = find_lost_score(settings_.objectives.front().goal, variant.trial.scores(),
                                     best_scores_, noise_of_seed_);
  if (score) variant.trial.give_up(*score);
}

void Search::settle_if_complete(VariantNumber number) {
  const auto found = variants_.find(number);
  const OpenVariant& variant = found->second;
  if (!variant.trial.is_complete() || number == confirming_) return;
  if (!variant.trial.has_result()) {  // Withdrawn before its first evaluation.
    variants_.erase(found);
    return;
  }
  const Verdict verdict = variant.trial.verdict();
  const auto jump = find_jump(number, variant, verdict);
  if (!jump) return settle(number, verdict, {});
  if (is_closed_) return settle(number, verdict, {Confirmation::unconfirmed, verdict.score});
  held_.insert_or_assign(number, Held{scored_of(number, variant, verdict), *jump, *best_});
}

void Search::settle(VariantNumber number, const Verdict& verdict, const Ruling& ruling) {
  const auto found = variants_.find(number);
  const OpenVariant variant = std::move(found->second);
  variants_.erase(found);
  held_.erase(number);
  emit(SettleVariant{number, verdict.state, verdict.outcome, verdict.metrics, verdict.score,
                     ruling.confirmation, ruling.jump_score, ruling.second_score});
  if (verdict.score) {
    std::optional<Scored> scored = scored_of(number, variant, verdict);
    if (ruling.is_doubted()) {
      scored.reset();
      policy_->add_failure(variant.origin.bred_from);
    } else if (variant.trial.is_comparable() || number == kSeed) {
      enter_archive(*scored, variant, verdict.metrics);
    }
    if (variant.origin.sample) tuner_.tell(*variant.origin.sample, scored);
    learn(variant.origin, scored);
    return;
  }
  if (variant.origin.sample) tuner_.tell(*variant.origin.sample, std::nullopt);
  if (verdict.outcome != Outcome::infrastructure) learn(variant.origin, std::nullopt);
  if (number == kSeed) {
    seed_failure_ = verdict.outcome;
    return;
  }
  policy_->add_failure(variant.origin.bred_from);
  // A model learns nothing from it: there was no error, only others were better.
  if (verdict.outcome == Outcome::stopped_early) return;
  const Origin& origin = variant.origin;
  const bool is_to_mend =
      verdict.outcome != Outcome::infrastructure && !origin.sample && origin.repairs < kRepairsMax;
  failures_.push_front({number, origin, is_to_mend});
  if (failures_.size() > kFailuresKept) failures_.pop_back();
}

void Search::enter_archive(Scored scored, const OpenVariant& variant,
                           const std::map<std::string, double>& metrics) {
  if (scored.variant == kSeed) {
    seed_score_ = scored.score;
    plan_noise();
  }
  if (!best_ || ranking_(scored, *best_)) {
    if (best_) gate_.note_best(scored, *best_);
    is_review_due_ = true;
    best_ = scored;
    // A seed that was cut short has not all of them: nobody loses to it.
    best_scores_ = variant.trial.is_full() ? variant.trial.scores() : std::vector<double>();
    emit(SetBest{scored.variant, scored.score});
  }
  policy_->add({.scored = scored,
                .generation = variant.origin.generation,
                .island = variant.origin.island,
                .source_tokens = variant.source_tokens,
                .metrics = metrics,
                .parents = variant.origin.bred_from});
}

// ---- The end. ----

void Search::begin_draining(End end) {
  end_ = std::move(end);
  set_phase(Phase::draining);
  cancel_proposals();
  if (!is_paid_by_proposal(end_.reason)) drop_backlog();
}

void Search::cancel_proposals() {
  if (proposals_.empty()) return;
  emit(CancelProposals{open_proposals()});
  for (const auto& [number, proposal] : proposals_) {
    cancelled_proposals_.insert(number);
    if (proposal.is_reserved()) ledger_.release_proposal();
  }
  proposals_.clear();
  variants_expected_ = 0;
}

void Search::cancel_evaluations(const std::set<EvaluationNumber>& kept) {
  CancelEvaluations command;
  std::vector<VariantNumber> touched;
  for (const auto& [number, evaluation] : evaluations_) {
    if (kept.contains(number)) continue;
    command.evaluations.push_back(number);
    if (evaluation.plan.is_confirmation) {
      confirming_.reset();
    } else if (evaluation.plan.is_of_trial()) {
      variants_.at(evaluation.plan.variant).trial.withdraw();
    } else {
      continue;
    }
    touched.push_back(evaluation.plan.variant);
  }
  if (command.evaluations.empty()) return;
  for (const EvaluationNumber number : command.evaluations) {
    evaluations_.erase(number);
    cancelled_evaluations_.insert(number);
  }
  emit(std::move(command));
  for (const VariantNumber number : touched) {
    if (variants_.contains(number)) settle_if_complete(number);
  }
}

void Search::drop_backlog() {
  is_closed_ = true;
  backlog_.clear();
  evaluations_unissued_ = 0;
  for (const VariantNumber number : keys_of(variants_)) {
    variants_.at(number).trial.close();
    settle_if_complete(number);
  }
}

void Search::leave_draining() {
  drop_backlog();  // What the budget of evaluations has no room for.
  if (!best_ || end_.reason == EndReason::user || settings_.final_repeats == 0) {
    set_phase(Phase::ended);
    return;
  }
  plan_finals(best_->variant);
  set_phase(Phase::finalizing);
}

void Search::plan_finals(VariantNumber best) {
  std::vector<VariantNumber> finalists{kSeed};
  if (best != kSeed) finalists.push_back(best);
  // Repeat by repeat: whatever interrupts them leaves pairs.
  for (int repeat = 0; repeat < settings_.final_repeats; ++repeat) {
    for (const Split split : {Split::validation, Split::sealed}) {
      for (const VariantNumber variant : finalists) backlog_.push_back({variant, repeat, split});
    }
  }
}

void Search::set_phase(Phase phase) {
  phase_ = phase;
  emit(SetPhase{phase, end_.reason, end_.explanation});
}

}  // namespace cambrian::search
