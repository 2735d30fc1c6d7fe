#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/ports/observer.hpp"
#include "common/metrics/metrics.hpp"

namespace cambrian::codegen {

/// Counts what happens; deploy/metrics.md lists the series. Labels are closed sets: endpoints and
/// models are those of the configuration.
class MetricsObserver : public Observer {
 public:
  /// Makes every series, so that each begins at 0. The registry must outlive the observer.
  /// `models` are those of each endpoint, by its name.
  MetricsObserver(metrics::Registry& registry,
                  const std::map<std::string, std::vector<std::string>>& models);

  void sending_finished(std::string_view model, const CallRecord& sending,
                        std::optional<FailureKind> failure) override;
  void availability_changed(std::string_view endpoint, bool is_available) override;
  void answer_judged(EditFormat format, std::optional<RejectionKind> rejection) override;
  void proposal_finished(Operator operation, ProposalOutcome outcome) override;

 private:
  void make_series(const std::string& endpoint, const std::vector<std::string>& models);
  metrics::Counter counter(const std::string& name, const metrics::Labels& labels);

  metrics::Registry& registry_;
  std::map<std::string, std::string> help_;
};

}  // namespace cambrian::codegen
