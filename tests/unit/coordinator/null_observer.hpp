#pragma once

#include "coordinator/ports/observer.hpp"

namespace cambrian::test {

/// Hears everything and counts nothing.
class NullObserver final : public coordinator::Observer {
 public:
  void on_assigned(coordinator::WorkKind, const std::vector<coordinator::Assignment>&) override {}
  void on_report(const coordinator::WorkReport&, const coordinator::FinishState&) override {}
  void on_attempts_ended(const std::vector<coordinator::EndedAttempt>&) override {}
  void on_step(const std::vector<coordinator::Input>&, const coordinator::DriverStep&,
               const coordinator::StepState&, std::chrono::milliseconds) override {}
  void on_overview(const coordinator::Overview&) override {}
  void on_campaigns(const std::vector<coordinator::CampaignRecord>&) override {}
};

}  // namespace cambrian::test
