#pragma once

#include <chrono>
#include <map>
#include <mutex>

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/control_store.hpp"

namespace cambrian::coordinator::postgres {

/// Who was looked at a moment ago and need not be looked up again. Any thread.
class ControlClock {
 public:
  using Clock = std::chrono::steady_clock;

  /// True if the worker may be due for a control in the campaign.
  bool should_ask(CampaignId campaign, const std::string& worker, milliseconds interval) {
    const std::scoped_lock lock(mutex_);
    if (asked_.size() > kAskedMax) asked_.clear();
    const auto now = Clock::now();
    auto& asked = asked_[{campaign, worker}];
    if (asked != Clock::time_point() && now - asked < interval / kAsksPerInterval) return false;
    asked = now;
    return true;
  }

 private:
  static constexpr int kAsksPerInterval = 20;
  static constexpr std::size_t kAskedMax = 100'000;
  std::mutex mutex_;  // Guards asked_.
  std::map<std::pair<CampaignId, std::string>, Clock::time_point> asked_;
};

/// Evaluations of the seed for those of the workers that are due for one, in place of the items
/// that they were to get: by these. The items are locked and ready; the new ones are, too.
std::map<std::int64_t, std::int64_t> plant_controls(pqxx::work& transaction,
                                                    const std::vector<std::int64_t>& items,
                                                    const std::vector<std::string>& workers,
                                                    milliseconds interval);

class PostgresControlStore final : public ControlStore {
 public:
  explicit PostgresControlStore(Database& database) : database_(database) {}

  awaitable<Result<std::vector<Control>>> unjudged() override;
  awaitable<Result<int>> note(Control control, bool is_off) override;
  awaitable<Result<std::vector<Lease>>> quarantine(std::string worker,
                                                   std::string evidence) override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
