#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>

namespace cambrian::coordinator {

/// The app's time, and how it waits. The real one; a simulation has another. One thread.
class Clock {
 public:
  using Time = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;

  virtual Time now() const { return std::chrono::steady_clock::now(); }
  /// The timer ends after `time`, unless somebody cancels it before.
  virtual void arm(boost::asio::steady_timer& timer, std::chrono::milliseconds time) {
    timer.expires_after(time);
  }
  /// The timer is about to go.
  virtual void disarm(boost::asio::steady_timer& /*timer*/) {}
};

}  // namespace cambrian::coordinator
