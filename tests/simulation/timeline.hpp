#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "coordinator/app/clock.hpp"

namespace cambrian::coordinator::simulation {

using std::chrono::milliseconds;

/// What happens when. Time goes on to the next thing that happens, and nobody waits for it.
class Timeline {
 public:
  /// `on_time` hears how much time has passed, before the next thing happens.
  explicit Timeline(std::function<void(Clock::Time::duration)> on_time)
      : on_time_(std::move(on_time)) {}

  Clock::Time now() const { return now_; }

  /// Things of one time happen in the order in which they were asked for.
  void after(milliseconds time, std::function<void()> what) {
    queue_.push({now_ + time, ++asked_, std::move(what)});
  }

  /// Goes to the next thing and lets it happen; false when nothing is left.
  bool step() {
    if (queue_.empty()) return false;
    auto next = std::move(const_cast<Entry&>(queue_.top()));
    queue_.pop();
    on_time_(next.time - now_);
    now_ = next.time;
    next.what();
    return true;
  }

 private:
  struct Entry {
    Clock::Time time;
    std::uint64_t order = 0;
    std::function<void()> what;
    bool operator<(const Entry& other) const {
      return std::pair(other.time, other.order) < std::pair(time, order);
    }
  };

  std::function<void(Clock::Time::duration)> on_time_;
  Clock::Time now_{std::chrono::hours(1)};
  std::uint64_t asked_ = 0;
  std::priority_queue<Entry> queue_;
};

/// The clock of one coordinator: it is gone when that has crashed.
class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(Timeline& timeline) : timeline_(timeline) {}

  Time now() const override { return timeline_.now(); }

  void arm(boost::asio::steady_timer& timer, milliseconds time) override {
    timer.expires_at(boost::asio::steady_timer::time_point::max());
    const auto turn = ++turns_;
    (*armed_)[&timer] = turn;
    const std::weak_ptr<Armed> armed = armed_;
    timeline_.after(time, [this, armed, &timer, turn] {
      const auto timers = armed.lock();
      if (!timers) return;  // And no clock.
      const auto found = timers->find(&timer);
      if (found == timers->end() || found->second != turn) return;
      timer.cancel();
      has_ended_ = true;
    });
  }

  /// Whether a timer has ended since this was asked.
  bool take_has_ended() { return std::exchange(has_ended_, false); }

  void disarm(boost::asio::steady_timer& timer) override { armed_->erase(&timer); }

 private:
  using Armed = std::map<boost::asio::steady_timer*, std::uint64_t>;

  Timeline& timeline_;
  std::uint64_t turns_ = 0;
  bool has_ended_ = false;
  std::shared_ptr<Armed> armed_ = std::make_shared<Armed>();
};

}  // namespace cambrian::coordinator::simulation
