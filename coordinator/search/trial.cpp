#include "coordinator/search/trial.hpp"

#include <algorithm>
#include <cmath>

#include "common/base/assert.hpp"
#include "common/statistics/statistics.hpp"

namespace cambrian::search {

Outcome checked_outcome(Outcome outcome, const std::map<std::string, double>& metrics,
                        const std::string& objective) {
  if (outcome != Outcome::success) return outcome;
  const auto is_finite = [](const auto& metric) { return std::isfinite(metric.second); };
  if (!std::ranges::all_of(metrics, is_finite)) return Outcome::not_finite;
  return metrics.contains(objective) ? Outcome::success : Outcome::bad_output;
}

Trial::Trial(int repeats, std::string objective, bool is_race)
    : repeats_(repeats),
      objective_(std::move(objective)),
      is_race_(is_race),
      planned_(repeats),
      results_(static_cast<std::size_t>(repeats)) {}

int Trial::queue_next() {
  const bool is_one_more = finished_ == 0 || is_race_;
  const int wanted = is_one_more ? std::min(finished_ + 1, planned_) : planned_;
  const int count = std::max(0, wanted - queued_);
  queued_ += count;
  return count;
}

int Trial::issue() {
  CAMBRIAN_ASSERT(issued_ < queued_ && issued_ < planned_);
  ++open_;
  return issued_++;
}

bool Trial::finish(int repeat, Outcome outcome, const std::map<std::string, double>& metrics) {
  CAMBRIAN_ASSERT(open_ > 0);
  --open_;
  ++finished_;
  outcome = checked_outcome(outcome, metrics, objective_);
  if (outcome == Outcome::success) {
    results_.at(static_cast<std::size_t>(repeat)) = metrics;
    return true;
  }
  if (!failure_ || repeat < failure_->repeat) failure_ = Failure{repeat, outcome};
  close();
  return false;
}

void Trial::give_up(double score) {
  CAMBRIAN_ASSERT(open_ == 0 && !has_failed());
  close();
  lost_with_ = score;
}

std::vector<double> Trial::scores() const {
  CAMBRIAN_ASSERT(open_ == 0 && !has_failed());
  std::vector<double> scores;
  for (int i = 0; i < finished_; ++i) {
    scores.push_back(results_.at(static_cast<std::size_t>(i)).at(objective_));
  }
  return scores;
}

void Trial::withdraw() {
  CAMBRIAN_ASSERT(open_ > 0);
  --open_;
}

Verdict Trial::verdict() const {
  CAMBRIAN_ASSERT(has_result());
  if (failure_) return {VariantState::failed, failure_->outcome, {}, std::nullopt};
  std::map<std::string, std::vector<double>> values;
  for (const auto& metrics : results_) {
    for (const auto& [name, value] : metrics) values[name].push_back(value);
  }
  Verdict verdict;
  for (const auto& [name, series] : values) {
    if (series.size() == static_cast<std::size_t>(finished_)) {
      verdict.metrics[name] = statistics::mean(series);
    }
  }
  // The mean of few repeats would compare with others' on other draws, here and in prompts.
  if (lost_with_) verdict.metrics.at(objective_) = *lost_with_;
  verdict.score = verdict.metrics.at(objective_);
  return verdict;
}

}  // namespace cambrian::search
