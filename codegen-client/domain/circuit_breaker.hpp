#pragma once

#include <algorithm>
#include <chrono>

#include "codegen-client/domain/rate_limiter.hpp"

namespace cambrian::codegen {

/// Keeps requests from an endpoint that fails: after so many failures in a row it opens, for 5 s
/// at first and twice as long each time up to 2 minutes, then lets a single trial through. Time
/// comes from outside. Not synchronised.
class CircuitBreaker {
 public:
  static constexpr int kFailuresMax = 5;
  static constexpr std::chrono::seconds kOpenFirst{5};
  static constexpr std::chrono::seconds kOpenMax{120};

  /// Zero when a request may be sent now: the caller must then report how it went. Else how long
  /// to wait before asking again.
  std::chrono::nanoseconds enter(SteadyTime now) {
    if (failures_ < kFailuresMax) return {};
    if (now < open_until_) return open_until_ - now;
    if (is_trial_running_) return kTrialPoll;
    is_trial_running_ = true;
    return {};
  }

  /// True while requests are held back.
  bool is_open(SteadyTime now) const { return failures_ >= kFailuresMax && now < open_until_; }

  void report_success() {
    failures_ = 0;
    is_trial_running_ = false;
    open_time_ = kOpenFirst;
  }

  /// True when this failure opens it.
  bool report_failure(SteadyTime now) {
    const bool was_trial = is_trial_running_;
    is_trial_running_ = false;
    if (failures_ < kFailuresMax) ++failures_;
    // Late failures of requests from before it opened say nothing new.
    if (failures_ < kFailuresMax || (now < open_until_ && !was_trial)) return false;
    open_until_ = now + open_time_;
    open_time_ = std::min(open_time_ * 2, kOpenMax);
    return true;
  }

  /// A request was given up by us: it says nothing about the endpoint.
  void report_nothing() { is_trial_running_ = false; }

 private:
  static constexpr std::chrono::milliseconds kTrialPoll{200};

  int failures_ = 0;  // In a row.
  bool is_trial_running_ = false;
  SteadyTime open_until_{};
  std::chrono::seconds open_time_ = kOpenFirst;
};

}  // namespace cambrian::codegen
