#include <algorithm>
#include <cmath>

#include "common/statistics/statistics.hpp"
#include "coordinator/search/search.hpp"

// Evaluations that check scores: see the header, "Noise" and "Jumps".
namespace cambrian::search {
namespace {

constexpr VariantNumber kSeedVariant{0};

}  // namespace

/// The seed once more, and again: one variant that everything else is compared with.
void Search::plan_noise() {
  for (int repeat = 0; repeat < settings_.noise_repeats; ++repeat) {
    backlog_.push_back({kSeedVariant, std::nullopt, Split::validation, repeat});
    ++evaluations_unissued_;
  }
}

void Search::finish_noise(const EvaluationFinished& event, int repeat) {
  ++ledger_.used.evaluations;
  const std::string& metric = settings_.objectives.front().metric;
  if (checked_outcome(event.outcome, event.metrics, metric) == Outcome::success) {
    noise_[repeat] = event.metrics.at(metric);
  } else {
    ++ledger_.used.evaluations_failed;
  }
  if (++noise_finished_ == settings_.noise_repeats && noise_.size() > 1) {
    std::vector<double> scores;
    for (const auto& [place, score] : noise_) scores.push_back(score);
    const double deviation =
        *statistics::standard_error(scores) * std::sqrt(static_cast<double>(scores.size()));
    // Squares of a seed that diverges may be too large for a number.
    if (std::isfinite(deviation)) {
      noise_of_seed_ = Noise{deviation, static_cast<int>(scores.size())};
      gate_.note_noise(deviation);
      is_review_due_ = true;
      emit(SetNoise{deviation, static_cast<int>(scores.size())});
    }
  }
  policy_->count_evaluations(ledger_.used.evaluations);
}

Scored Search::scored_of(VariantNumber number, const OpenVariant& variant,
                         const Verdict& verdict) const {
  return {number, *verdict.score,
          violation_of(settings_.constraints, variant.source_tokens, verdict.metrics)};
}

std::optional<Jump> Search::find_jump(VariantNumber number, const OpenVariant& variant,
                                      const Verdict& verdict) const {
  // Nothing is compared with the seed before it has a score, and what has not all its repeats
  // does not count anyway.
  if (!best_ || !verdict.score || !variant.trial.is_full()) return std::nullopt;
  return gate_.find_jump(scored_of(number, variant, verdict), *best_);
}

void Search::review_jumps() {
  while (std::exchange(is_review_due_, false)) {
    std::vector<VariantNumber> numbers;
    for (const auto& [number, held] : held_) numbers.push_back(number);
    // Each may become the best, so that the next one jumps no more.
    for (const VariantNumber number : numbers) settle_if_complete(number);
  }
}

std::int64_t Search::evaluations_wanted() const {
  return static_cast<std::int64_t>(evaluations_.size()) + evaluations_unissued_ +
         variants_expected_ * settings_.repeats;
}

void Search::request_confirmation() {
  if (held_.empty() || confirming_) return;
  if (evaluations_.size() >= static_cast<std::size_t>(settings_.evaluations_parallel)) return;
  const std::int64_t left = ledger_.evaluations_left(evaluations_wanted());
  const bool is_more_to_come = variants_.size() > held_.size() || variants_expected_ > 0;
  if (left == 0 || (left == 1 && is_more_to_come)) return;
  const auto first = std::ranges::min_element(
      held_, ranking_, [](const auto& entry) { return entry.second.scored; });
  const VariantNumber variant = first->first;
  const EvaluationNumber number{++last_evaluation_};
  evaluations_.emplace(number, OpenEvaluation{{.variant = variant,
                                               .final_repeat = {},
                                               .split = Split::validation,
                                               .is_confirmation = true},
                                              0});
  confirming_ = variant;
  emit(RequestEvaluation{
      .evaluation = number,
      .variant = variant,
      .split = Split::validation,
      .seed = rng_.split("confirm").split(static_cast<std::uint64_t>(variant.value)).next(),
      .is_final = false,
      .jump = first->second.jump});
}

void Search::finish_confirmation(const EvaluationFinished& event, VariantNumber number) {
  ++ledger_.used.evaluations;
  confirming_.reset();
  const OpenVariant& variant = variants_.at(number);
  const Held held = held_.at(number);
  const std::string& metric = settings_.objectives.front().metric;
  Verdict second{.state = VariantState::failed,
                 .outcome = checked_outcome(event.outcome, event.metrics, metric),
                 .metrics = {},
                 .score = {}};
  Ruling ruling{
      .confirmation = Confirmation::disputed, .jump_score = held.scored.score, .second_score = {}};
  const Verdict first = variant.trial.verdict();
  if (second.outcome != Outcome::success) {
    ++ledger_.used.evaluations_failed;
    settle(number, second, ruling);
  } else {
    second.state = VariantState::evaluated;
    second.metrics = event.metrics;
    second.score = ruling.second_score = event.metrics.at(metric);
    const Scored again = scored_of(number, variant, second);
    if (gate_.is_confirmed(held.jump, held.best, again)) {
      ruling.confirmation = Confirmation::confirmed;
    }
    const bool is_first_kept =
        ruling.confirmation == Confirmation::confirmed || ranking_(again, held.scored);
    settle(number, is_first_kept ? first : second, ruling);
  }
  policy_->count_evaluations(ledger_.used.evaluations);
}

}  // namespace cambrian::search
