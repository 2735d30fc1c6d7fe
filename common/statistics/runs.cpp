#include "common/statistics/runs.hpp"

#include <algorithm>
#include <cmath>

#include "common/base/assert.hpp"

namespace cambrian::statistics {
namespace {

double median_of(std::vector<double>& values) {
  std::ranges::sort(values);
  return quantile(values, 0.5);
}

}  // namespace

double median(std::span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  return median_of(copy);
}

std::optional<Interval> median_interval(std::span<const double> values, Rng rng,
                                        BootstrapOptions options) {
  if (values.size() < 2) return std::nullopt;
  std::vector<double> sample(values.size());
  std::vector<double> medians;
  medians.reserve(static_cast<std::size_t>(options.resamples));
  for (int i = 0; i < options.resamples; ++i) {
    for (double& drawn : sample) drawn = values[rng.below(values.size())];
    medians.push_back(median_of(sample));
  }
  return percentiles(std::move(medians), options.confidence);
}

std::vector<std::size_t> curve_places(std::size_t length, std::size_t count_max) {
  std::vector<std::size_t> places;
  if (length <= count_max) {
    for (std::size_t i = 1; i <= length; ++i) places.push_back(i);
    return places;
  }
  for (std::size_t i = 0; i < count_max; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(count_max - 1);
    const double place = 1 + static_cast<double>(length - 1) * share * share;
    const auto rounded = static_cast<std::size_t>(std::lround(place));
    if (places.empty() || rounded > places.back()) places.push_back(rounded);
  }
  return places;
}

std::vector<CurvePoint> median_curve(std::span<const std::vector<double>> runs,
                                     std::span<const std::size_t> places, Rng rng,
                                     BootstrapOptions options) {
  CAMBRIAN_ASSERT(!runs.empty());
  std::vector<std::vector<double>> medians(places.size());
  std::vector<std::size_t> drawn(runs.size());
  std::vector<double> values(runs.size());
  for (int i = 0; i < options.resamples; ++i) {
    for (std::size_t& run : drawn) run = rng.below(runs.size());
    for (std::size_t k = 0; k < places.size(); ++k) {
      for (std::size_t j = 0; j < drawn.size(); ++j) values[j] = runs[drawn[j]][places[k] - 1];
      medians[k].push_back(median_of(values));
    }
  }
  std::vector<CurvePoint> curve;
  for (std::size_t k = 0; k < places.size(); ++k) {
    for (std::size_t j = 0; j < runs.size(); ++j) values[j] = runs[j][places[k] - 1];
    curve.push_back(
        {places[k], median_of(values), percentiles(std::move(medians[k]), options.confidence)});
  }
  return curve;
}

double area_under(std::span<const double> curve) { return mean(curve); }

Rate success_rate(std::size_t successes, std::size_t attempts) {
  CAMBRIAN_ASSERT(attempts > 0 && successes <= attempts);
  constexpr double kZ = 1.959963984540054;  // Of the normal distribution at 97.5 %.
  const auto count = static_cast<double>(attempts);
  const double ratio = static_cast<double>(successes) / count;
  const double scale = 1 + kZ * kZ / count;
  const double center = (ratio + kZ * kZ / (2 * count)) / scale;
  const double half =
      kZ * std::sqrt(ratio * (1 - ratio) / count + kZ * kZ / (4 * count * count)) / scale;
  // Rounding must not push the ends beyond what is possible.
  return {ratio, {std::clamp(center - half, 0.0, ratio), std::clamp(center + half, ratio, 1.0)}};
}

std::optional<std::size_t> evaluations_to(std::span<const double> curve, double target,
                                          bool is_maximized) {
  const auto reaches = [&](double value) {
    return is_maximized ? value >= target : value <= target;
  };
  const auto found = std::ranges::find_if(curve, reaches);
  if (found == curve.end()) return std::nullopt;
  return static_cast<std::size_t>(found - curve.begin()) + 1;
}

std::optional<double> expected_evaluations(std::span<const std::vector<double>> runs, double target,
                                           bool is_maximized) {
  double spent = 0;
  double successes = 0;
  for (const std::vector<double>& run : runs) {
    const auto reached = evaluations_to(run, target, is_maximized);
    spent += static_cast<double>(reached.value_or(run.size()));
    successes += reached ? 1 : 0;
  }
  if (successes == 0) return std::nullopt;
  return spent / successes;
}

}  // namespace cambrian::statistics
