#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

namespace cambrian::bench {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

double seconds_between(Clock::time_point begin, Clock::time_point end);
double milliseconds_since(Clock::time_point begin);

/// Latencies with the times at which they ended. One thread at a time.
class Samples {
 public:
  /// `at_seconds` counts from the start of the measurement.
  void add(double at_seconds, double latency_ms) { samples_.push_back({at_seconds, latency_ms}); }
  void add(const Samples& others);

  std::size_t size() const { return samples_.size(); }
  /// Those that ended in [from, to).
  Samples within(double from_seconds, double to_seconds) const;
  /// The median of what ended in each whole second of [from, to): a hiccup of the machine moves it
  /// less than it moves a mean.
  double rate(double from_seconds, double to_seconds) const;
  /// Nearest rank; 0 without samples.
  double quantile(double share) const;
  /// {count, p50_ms, p99_ms, max_ms}.
  Json summary() const;

 private:
  struct Sample {
    double at_seconds;
    double latency_ms;
  };
  std::vector<Sample> samples_;
};

double median(std::vector<double> values);

}  // namespace cambrian::bench
