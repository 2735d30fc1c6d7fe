#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "common/base/rng.hpp"

namespace cambrian::rpc {

/// Growing waits with full jitter between attempts at one call: at most 0.2 s, 0.4 s, ... 5 s.
/// Not safe to share between threads.
class Backoff {
 public:
  explicit Backoff(std::uint64_t seed) : rng_(seed) {}

  std::chrono::milliseconds next() {
    const auto limit = limit_;
    limit_ = std::min(limit_ * 2, kLimitMax);
    return std::chrono::milliseconds(rng_.between(kWaitMin.count(), limit.count()));
  }
  void reset() { limit_ = kLimitFirst; }

 private:
  static constexpr std::chrono::milliseconds kWaitMin{50};
  static constexpr std::chrono::milliseconds kLimitFirst{200};
  static constexpr std::chrono::milliseconds kLimitMax{5000};

  Rng rng_;
  std::chrono::milliseconds limit_ = kLimitFirst;
};

/// Waits, or until the token is stopped. False when it was stopped. Blocks the thread.
inline bool wait_unless_stopped(std::stop_token stop, std::chrono::milliseconds duration) {
  std::mutex mutex;
  std::condition_variable_any never_notified;
  std::unique_lock lock(mutex);
  never_notified.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace cambrian::rpc
