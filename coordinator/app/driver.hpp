#pragma once

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>

#include "coordinator/app/hub.hpp"
#include "coordinator/ports/driver_store.hpp"
#include "coordinator/ports/observer.hpp"
#include "coordinator/search/search.hpp"

namespace cambrian::coordinator {

/// How drivers hold their campaigns. Short: losing one is safe and costs a replay, while a campaign
/// whose driver was killed waits for as long.
inline constexpr milliseconds kDriverLease{4'000};
inline constexpr milliseconds kDriverRenewal{1'000};
/// How long the end waits for steps in progress. A step that takes longer hangs at the database.
inline constexpr milliseconds kDriveEndMax{3'000};

/// Drives campaigns: takes those that nobody drives, rebuilds each search from the log, and then
/// feeds it new events and carries out its commands. Lives on the app's single thread.
///
/// After any failure of a step the search in memory is thrown away and rebuilt: what the database
/// says is the truth, also about a commit whose answer was lost.
class Drivers {
 public:
  /// `name` tells this coordinator from others.
  Drivers(DriverStore& store, Hub& hub, Observer& observer, std::string name)
      : store_(store), hub_(hub), observer_(observer), name_(std::move(name)) {}

  /// Takes campaigns until the hub closes; then waits for the steps in progress, though not for
  /// longer than `kDriveEndMax`, and gives the campaigns back.
  awaitable<void> run_acquisition();
  /// Renews what is held until the hub closes.
  awaitable<void> run_renewal();

  std::size_t held() const { return held_.size(); }
  /// Campaigns whose coroutine has not ended. It uses this object, the hub and the stores: they
  /// must live until there is none.
  std::size_t driving() const { return driving_; }

 private:
  /// A campaign that this coordinator drives. Shared by its coroutine and `held_`.
  struct Driven {
    DriverLease lease;
    std::optional<search::Search> search;
    std::int64_t applied = 0;
    std::int64_t running_ms = 0;
    bool is_time_told = false;
    bool is_lost = false;
  };
  using DrivenPtr = std::shared_ptr<Driven>;

  /// How many it took.
  awaitable<std::size_t> acquire_once();
  awaitable<Status> renew_once();
  awaitable<void> drive(DrivenPtr driven);
  awaitable<void> await_driven();
  awaitable<Status> drive_once(DrivenPtr driven);
  awaitable<Status> rebuild(DrivenPtr driven);
  awaitable<Status> tell_time(DrivenPtr driven);
  awaitable<Status> take_step(DrivenPtr driven, std::vector<Input> inputs);

  DriverStore& store_;
  Hub& hub_;
  Observer& observer_;
  std::string name_;
  std::map<CampaignId, DrivenPtr> held_;
  std::size_t driving_ = 0;
  boost::asio::steady_timer* last_end_ = nullptr;  // Set while somebody waits for the last one.
};

}  // namespace cambrian::coordinator
