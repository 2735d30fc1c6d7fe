#pragma once

#include <algorithm>

#include "codegen-client/domain/rate_limiter.hpp"

namespace cambrian::codegen {

/// How many calls may run at once. A 429 halves it, each call that went well raises it by a part of
/// one, so that about as many successes as there are calls at once raise it by one (additive
/// increase, multiplicative decrease). Time comes from outside. Not synchronised.
class ConcurrencyLimit {
 public:
  /// Begins with the most there may be, at least 1.
  explicit ConcurrencyLimit(int most) : most_(std::max(most, 1)), limit_(most_) {}

  int limit() const { return static_cast<int>(limit_); }
  bool has_room() const { return running_ < limit(); }
  void enter() { ++running_; }
  void leave() { --running_; }

  void report_success() { limit_ = std::min<double>(most_, limit_ + 1 / limit_); }

  /// A call that was sent before the last decrease says nothing new: it ran beside too many.
  void report_rate_limited(SteadyTime sent, SteadyTime now) {
    if (sent < decreased_) return;
    decreased_ = now;
    limit_ = std::max(1.0, limit_ / 2);
  }

 private:
  int most_;
  double limit_;
  int running_ = 0;
  SteadyTime decreased_{};
};

}  // namespace cambrian::codegen
