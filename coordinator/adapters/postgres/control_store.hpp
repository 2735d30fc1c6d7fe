#pragma once

#include <chrono>
#include <map>

#include "coordinator/adapters/postgres/database.hpp"
#include "coordinator/ports/control_store.hpp"

namespace cambrian::coordinator::postgres {

/// Who was looked up a moment ago and need not be again. One thread.
class ControlClock {
 public:
  using Clock = std::chrono::steady_clock;

  /// True if the worker may be due for a control.
  bool may_be_due(const std::string& worker, Clock::time_point now, milliseconds interval) const {
    const auto found = asked_.find(worker);
    return found == asked_.end() || now - found->second >= interval / kAsksPerInterval;
  }
  void note(const std::string& worker, Clock::time_point now) {
    if (asked_.size() > kAskedMax) asked_.clear();
    asked_[worker] = now;
  }

 private:
  static constexpr int kAsksPerInterval = 20;
  static constexpr std::size_t kAskedMax = 100'000;
  std::map<std::string, Clock::time_point> asked_;
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
  awaitable<Result<int>> note(Control control, bool is_off, milliseconds interval) override;
  awaitable<Status> quarantine(std::string worker, std::string evidence) override;
  awaitable<Result<std::vector<Lease>>> held() override;

 private:
  Database& database_;
};

}  // namespace cambrian::coordinator::postgres
