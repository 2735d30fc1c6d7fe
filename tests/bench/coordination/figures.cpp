#include "tests/bench/coordination/figures.hpp"

#include <algorithm>
#include <cmath>

namespace cambrian::bench {
namespace {

double quantile_of(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto place =
      values.begin() + static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(rank, 1, values.size()));
  std::nth_element(values.begin(), place - 1, values.end());
  return *(place - 1);
}

}  // namespace

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

double milliseconds_since(Clock::time_point begin) {
  return seconds_between(begin, Clock::now()) * 1e3;
}

void Samples::add(const Samples& others) {
  samples_.insert(samples_.end(), others.samples_.begin(), others.samples_.end());
}

Samples Samples::within(double from_seconds, double to_seconds) const {
  Samples chosen;
  for (const auto& one : samples_) {
    if (one.at_seconds >= from_seconds && one.at_seconds < to_seconds) {
      chosen.samples_.push_back(one);
    }
  }
  return chosen;
}

double Samples::rate(double from_seconds, double to_seconds) const {
  const auto seconds =
      static_cast<std::size_t>(std::max(1.0, std::floor(to_seconds - from_seconds)));
  std::vector<double> counts(seconds, 0);
  for (const auto& one : samples_) {
    const double place = one.at_seconds - from_seconds;
    if (place >= 0 && place < static_cast<double>(seconds)) {
      counts[static_cast<std::size_t>(place)] += 1;
    }
  }
  return median(std::move(counts));
}

double Samples::quantile(double share) const {
  std::vector<double> values;
  values.reserve(samples_.size());
  for (const auto& one : samples_) values.push_back(one.latency_ms);
  return quantile_of(std::move(values), share);
}

Json Samples::summary() const {
  return {{"count", size()},
          {"p50_ms", quantile(0.5)},
          {"p99_ms", quantile(0.99)},
          {"max_ms", quantile(1)}};
}

double median(std::vector<double> values) { return quantile_of(std::move(values), 0.5); }

}  // namespace cambrian::bench
