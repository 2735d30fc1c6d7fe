#include "common/metrics/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <exception>
#include <mutex>

namespace cambrian::metrics {

struct Registry::State {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::unique_ptr<prometheus::Exposer> exposer;
  std::mutex mutex;  // Guards gauges_by_key.
  std::map<std::pair<std::string, Labels>,
           std::pair<prometheus::Family<prometheus::Gauge>*, prometheus::Gauge*>>
      gauges_by_key;
};

void Counter::add(double amount) { counter_->Increment(amount); }
void Gauge::set(double value) { gauge_->Set(value); }
void Gauge::add(double amount) { gauge_->Increment(amount); }
void Histogram::observe(double value) { histogram_->Observe(value); }

std::vector<double> duration_buckets() {
  return {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 900, 3600};
}

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;

Counter Registry::counter(const std::string& name, const std::string& help, const Labels& labels) {
  return Counter(
      prometheus::BuildCounter().Name(name).Help(help).Register(*state_->registry).Add(labels));
}

Gauge Registry::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(*state_->registry);
  auto& gauge = family.Add(labels);
  const std::lock_guard lock(state_->mutex);
  state_->gauges_by_key[{name, labels}] = {&family, &gauge};
  return Gauge(gauge);
}

Histogram Registry::histogram(const std::string& name, const std::string& help,
                              const std::vector<double>& buckets, const Labels& labels) {
  return Histogram(prometheus::BuildHistogram()
                       .Name(name)
                       .Help(help)
                       .Register(*state_->registry)
                       .Add(labels, buckets));
}

void Registry::remove_gauge(const std::string& name, const Labels& labels) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->gauges_by_key.find({name, labels});
  if (found == state_->gauges_by_key.end()) return;
  found->second.first->Remove(found->second.second);
  state_->gauges_by_key.erase(found);
}

std::string Registry::text() const {
  return prometheus::TextSerializer().Serialize(state_->registry->Collect());
}

Result<int> Registry::serve(const std::string& address) {
  try {
    state_->exposer = std::make_unique<prometheus::Exposer>(address, 1);
    state_->exposer->RegisterCollectable(state_->registry);
    return state_->exposer->GetListeningPorts().at(0);
  } catch (const std::exception& failure) {
    return fail(Errc::unavailable, "cannot serve metrics; choose another metrics_listen: address=" +
                                       address + " cause=" + failure.what());
  }
}

}  // namespace cambrian::metrics
