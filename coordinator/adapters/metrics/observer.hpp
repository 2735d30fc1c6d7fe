#pragma once

#include <map>
#include <set>
#include <string>

#include "common/metrics/metrics.hpp"
#include "coordinator/ports/observer.hpp"

namespace cambrian::coordinator {

/// What happens, as Prometheus metrics; deploy/metrics.md lists them. On the app's thread.
class MetricsObserver final : public Observer {
 public:
  MetricsObserver(metrics::Registry& registry, const std::string& version);

  void on_assigned(WorkKind kind, const std::vector<Assignment>& assignments) override;
  void on_report(const WorkReport& report, const FinishState& state) override;
  void on_attempts_ended(const std::vector<EndedAttempt>& ended) override;
  void on_step(const std::vector<Input>& inputs, const DriverStep& step, const StepState& state,
               milliseconds duration) override;
  void on_overview(const Overview& overview) override;
  void on_campaigns(const std::vector<CampaignRecord>& active) override;

 private:
  metrics::Counter counter(const char* name, const char* help, const metrics::Labels& labels);
  void count_attempt(WorkKind kind, const std::string& outcome);
  void register_known_series();
  void set_campaign_gauge(const char* name, const char* help, const metrics::Labels& labels,
                          double value);
  void set_budget(const CampaignRecord& record, const std::string& budget, double used,
                  std::int64_t limit);

  metrics::Registry& registry_;
  metrics::Histogram step_duration_;
  metrics::Gauge last_evaluation_;
  /// Series of campaigns that are exported now, to drop those that end.
  std::set<std::pair<std::string, metrics::Labels>> campaign_series_;
  std::set<std::pair<std::string, metrics::Labels>> campaign_series_new_;
};

}  // namespace cambrian::coordinator
