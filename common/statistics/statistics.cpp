#include "common/statistics/statistics.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <vector>

#include "common/base/assert.hpp"

namespace cambrian::statistics {

double mean(std::span<const double> values) {
  CAMBRIAN_ASSERT(!values.empty());
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  if (std::isfinite(sum)) return sum / count;
  double scaled = 0;  // Less exact, so only where the sum overflows.
  for (const double value : values) scaled += value / count;
  const auto [low, high] = std::ranges::minmax(values);
  return std::clamp(scaled, low, high);
}

std::optional<double> standard_error(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const double center = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - center) * (value - center);
  const auto count = static_cast<double>(values.size());
  return std::sqrt(squares / (count - 1) / count);
}

double student_quantile(double probability, double freedom) {
  CAMBRIAN_ASSERT(probability > 0 && probability < 1 && freedom > 0);
  return boost::math::quantile(boost::math::students_t(freedom), probability);
}

double quantile(std::span<const double> sorted, double probability) {
  CAMBRIAN_ASSERT(!sorted.empty() && probability >= 0 && probability <= 1);
  const double place = probability * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

Interval percentiles(std::vector<double> values, double confidence) {
  std::ranges::sort(values);
  const double tail = (1 - confidence) / 2;
  return {quantile(values, tail), quantile(values, 1 - tail)};
}

std::optional<Interval> bootstrap_interval(std::span<const double> values, Rng rng,
                                           BootstrapOptions options) {
  CAMBRIAN_ASSERT(options.resamples > 0 && options.confidence > 0 && options.confidence < 1);
  if (values.size() < 2) return std::nullopt;
  std::vector<double> means;
  means.reserve(static_cast<std::size_t>(options.resamples));
  std::vector<double> sample(values.size());
  for (int i = 0; i < options.resamples; ++i) {
    for (double& drawn : sample) drawn = values[rng.below(values.size())];
    means.push_back(mean(sample));
  }
  return percentiles(std::move(means), options.confidence);
}

PairedDifference paired_difference(std::span<const double> before, std::span<const double> after,
                                   Rng rng, BootstrapOptions options) {
  CAMBRIAN_ASSERT(before.size() == after.size() && !before.empty());
  std::vector<double> differences;
  differences.reserve(before.size());
  for (std::size_t i = 0; i < before.size(); ++i) differences.push_back(after[i] - before[i]);
  return {mean(differences), standard_error(differences),
          bootstrap_interval(differences, rng, options)};
}

}  // namespace cambrian::statistics
