#pragma once

#include <condition_variable>
#include <mutex>

#include "codegen-client/ports/clock.hpp"

namespace cambrian::codegen {

/// The machine's own clock.
class SystemClock : public Clock {
 public:
  SteadyTime now() const override { return std::chrono::steady_clock::now(); }

  bool wait(std::chrono::nanoseconds duration, std::stop_token stop) override {
    std::mutex mutex;
    std::condition_variable_any never_notified;
    std::unique_lock lock(mutex);
    never_notified.wait_for(lock, stop, duration, [] { return false; });
    return !stop.stop_requested();
  }
};

}  // namespace cambrian::codegen
