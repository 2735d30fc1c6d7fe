#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

#include "coordinator/ports/call_store.hpp"

/// The arithmetic of the limits that clients share. Pure.
namespace cambrian::coordinator::postgres {

/// What a group has left, as it was stored some time ago.
struct CallLevels {
  double requests = 0;
  double tokens = 0;
};

/// Providers enforce their limits over seconds too: at most this share of a minute's amount may be
/// used at once.
inline constexpr double kBurstShare = 0.1;
/// How soon a client asks again that waits for another one's call to end.
inline constexpr milliseconds kParallelPoll{500};

/// A bucket that fills at a steady rate. An amount larger than the bucket is let through when it is
/// full, and leaves a debt.
inline double refilled(double level, double per_minute, double passed_s) {
  const double capacity = std::max(1.0, per_minute * kBurstShare);
  return std::min(capacity, level + passed_s * per_minute / 60);
}

/// Seconds until `amount` can be taken; not positive when it can be taken now.
inline double seconds_until(double level, double amount, double per_minute) {
  const double capacity = std::max(1.0, per_minute * kBurstShare);
  return (std::min(amount, capacity) - level) * 60 / per_minute;
}

struct CallDecision {
  milliseconds wait{0};  ///< Zero: granted, and `after` is what is left.
  CallLevels after;
};

/// Whether a call with so many tokens may be sent now. `open` calls of the group are under way.
inline CallDecision decide(const CallLimits& limits, CallLevels levels, double passed_s,
                           double pause_s, std::int64_t tokens, int open) {
  double wait_s = pause_s;
  if (limits.requests_per_minute > 0) {
    levels.requests = refilled(levels.requests, limits.requests_per_minute, passed_s);
    wait_s = std::max(wait_s, seconds_until(levels.requests, 1, limits.requests_per_minute));
    levels.requests -= 1;
  }
  if (limits.tokens_per_minute > 0) {
    const auto amount = static_cast<double>(tokens);
    levels.tokens = refilled(levels.tokens, limits.tokens_per_minute, passed_s);
    wait_s = std::max(wait_s, seconds_until(levels.tokens, amount, limits.tokens_per_minute));
    levels.tokens -= amount;
  }
  CallDecision decision{.wait = milliseconds(0), .after = levels};
  if (limits.parallel > 0 && open >= limits.parallel) decision.wait = kParallelPoll;
  constexpr double kRoundingSeconds = 1e-6;
  if (wait_s > kRoundingSeconds) {
    decision.wait =
        std::max(decision.wait, milliseconds(static_cast<std::int64_t>(std::ceil(wait_s * 1000))));
  }
  return decision;
}

}  // namespace cambrian::coordinator::postgres
