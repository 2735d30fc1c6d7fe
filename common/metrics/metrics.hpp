#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

/// Numbers for Prometheus. The one place that includes prometheus-cpp.
///
/// Names are `cambrian_<program>_<noun>_<base unit>[_total]`, seconds and bytes only; labels come
/// from closed sets in the code, never ids, paths or messages. deploy/metrics.md lists them all.
namespace cambrian::metrics {

using Labels = std::map<std::string, std::string>;

/// Handles are cheap to copy, usable from any thread, and valid as long as their Registry.
class Counter {
 public:
  explicit Counter(prometheus::Counter& counter) : counter_(&counter) {}
  void add(double amount = 1);

 private:
  prometheus::Counter* counter_;
};

class Gauge {
 public:
  explicit Gauge(prometheus::Gauge& gauge) : gauge_(&gauge) {}
  void set(double value);
  void add(double amount);

 private:
  prometheus::Gauge* gauge_;
};

class Histogram {
 public:
  explicit Histogram(prometheus::Histogram& histogram) : histogram_(&histogram) {}
  void observe(double value);

 private:
  prometheus::Histogram* histogram_;
};

/// Buckets for durations in seconds, from a millisecond to an hour.
std::vector<double> duration_buckets();

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// The counter with this name and these labels; made at the first call. Ask once for each label
  /// value that exists, at start: a series that is known in advance begins at 0.
  Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram histogram(const std::string& name, const std::string& help,
                      const std::vector<double>& buckets, const Labels& labels = {});

  /// Drops one series of a gauge, for things that end, such as campaigns.
  void remove_gauge(const std::string& name, const Labels& labels);

  /// Everything in Prometheus' text format.
  std::string text() const;

  /// Serves GET /metrics on `host:port` in threads of its own until the registry goes. Port 0
  /// takes a free one. Returns the port. Errors: unavailable when the address cannot be had.
  Result<int> serve(const std::string& address);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cambrian::metrics
