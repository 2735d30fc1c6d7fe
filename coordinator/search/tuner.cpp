#include "coordinator/search/tuner.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/assert.hpp"

namespace cambrian::search {
namespace {

double scaled(const Constant& constant, double value) {
  return constant.is_logarithmic ? std::log(value) : value;
}

/// The place of a constant between its bounds.
double coordinate_of(const Constant& constant) {
  const double low = scaled(constant, constant.low);
  return (scaled(constant, constant.value) - low) / (scaled(constant, constant.high) - low);
}

/// Any number as one from 0 to 1: what leaves the range comes back as from a mirror.
double mirrored(double place) {
  const double rest = std::abs(std::remainder(place, 2.0));  // The way to the next even number.
  return std::min(rest, 1.0);
}

double value_of(const Constant& constant, double coordinate) {
  const double place = mirrored(coordinate);
  const double low = scaled(constant, constant.low);
  const double value = low + place * (scaled(constant, constant.high) - low);
  return std::clamp(constant.is_logarithmic ? std::exp(value) : value, constant.low, constant.high);
}

bool is_usable(const Constant& constant) {
  return std::isfinite(constant.high - constant.low) && constant.low < constant.high &&
         constant.low <= constant.value && constant.value <= constant.high &&
         (!constant.is_logarithmic || constant.low > 0);
}

}  // namespace

Tuner::Tuner(const Settings& settings)
    : evaluations_max_(settings.tune_evaluations), ranking_(settings.objectives.front().goal) {}

void Tuner::begin(const Member& parent, std::optional<int> island) {
  CAMBRIAN_ASSERT(!run_);
  known_.insert(parent.scored.variant);
  run_ = Run{};
  run_->number = ++runs_;
  run_->parent = parent;
  run_->island = island;
  run_->best = parent.scored;
}

void Tuner::take(VariantNumber variant, const std::vector<Constant>& constants, Rng rng) {
  if (!run_ || run_->cmaes || run_->parent.scored.variant != variant) return;
  if (constants.empty() || constants.size() > Cmaes::kDimensionMax ||
      !std::ranges::all_of(constants, is_usable)) {
    run_.reset();
    return;
  }
  std::vector<double> mean;
  for (const Constant& constant : constants) mean.push_back(coordinate_of(constant));
  run_->constants = constants;
  run_->cmaes.emplace(std::move(mean), kStep, rng);
  run_->results.resize(run_->cmaes->points().size());
}

std::optional<Tuner::Draft> Tuner::draw() {
  if (!run_ || !run_->cmaes || run_->drawn == run_->results.size()) return std::nullopt;
  const std::size_t place = run_->drawn++;
  const std::vector<double>& point = run_->cmaes->points()[place];
  Draft draft{{run_->number, place}, run_->parent, run_->island, {}};
  for (std::size_t i = 0; i < point.size(); ++i) {
    draft.values.push_back(value_of(run_->constants[i], point[i]));
  }
  return draft;
}

void Tuner::tell(const Sample& sample, const std::optional<Scored>& scored) {
  if (!run_ || run_->number != sample.run) return;
  run_->results.at(sample.place) = scored;
  ++run_->evaluations;
  if (++run_->told == run_->results.size()) end_generation();
}

void Tuner::end_generation() {
  Run& run = *run_;
  std::vector<std::size_t> order(run.results.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Failures come last, as they were drawn.
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    const auto& left = run.results[a];
    const auto& right = run.results[b];
    return left && (!right || ranking_(*left, *right));
  });
  const auto& first = run.results[order.front()];
  const bool is_better = first && ranking_(*first, run.best);
  run.stalls = is_better ? 0 : run.stalls + 1;
  if (is_better) run.best = *first;
  run.cmaes->tell(order);
  const auto each = static_cast<std::int64_t>(run.constants.size()) * kEvaluationsEach;
  if (run.evaluations >= std::min(evaluations_max_, each) || run.stalls >= kStallsMax ||
      run.cmaes->spread() < kSpreadMin) {
    run_.reset();
    return;
  }
  run.drawn = 0;
  run.told = 0;
  std::ranges::fill(run.results, std::nullopt);
}

}  // namespace cambrian::search
