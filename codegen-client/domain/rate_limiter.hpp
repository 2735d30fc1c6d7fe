#pragma once

#include <chrono>
#include <cstdint>

namespace cambrian::codegen {

/// A clock that never goes back.
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

/// Fills at a steady rate up to a tenth of a minute's amount: providers enforce their limits over
/// seconds, not only over the minute. An amount larger than the bucket is let through when the
/// bucket is full, and leaves a debt.
class TokenBucket {
 public:
  /// `per_minute` 0: no limit.
  explicit TokenBucket(double per_minute);

  /// Wait until `amount` can be taken; zero when it can be taken now.
  std::chrono::nanoseconds wait_for(double amount, SteadyTime now);
  void take(double amount) { level_ -= amount; }
  void give_back(double amount);

 private:
  void refill(SteadyTime now);

  double per_minute_;
  double capacity_;
  double level_;
  SteadyTime last_{};
};

/// Requests and tokens a minute of one endpoint. An estimate is reserved before a request, because
/// providers charge it in advance, and settled after it. Time comes from outside. Not
/// synchronised.
class RateLimiter {
 public:
  /// 0: no limit.
  RateLimiter(double requests_per_minute, double tokens_per_minute);

  /// Wait until a request with so many tokens may be sent; zero when it may be sent now.
  std::chrono::nanoseconds wait_for(std::int64_t tokens, SteadyTime now);
  /// Takes one request and its tokens.
  void take(std::int64_t tokens);
  /// The request that had `reserved` tokens used `used`.
  void settle(std::int64_t reserved, std::int64_t used);
  /// Nobody gets anything before this time: the server said so to one of us.
  void pause_until(SteadyTime time);
  /// How long nobody gets anything yet; not positive when there is no pause.
  std::chrono::nanoseconds pause_left(SteadyTime now) const { return paused_until_ - now; }

 private:
  TokenBucket requests_;
  TokenBucket tokens_;
  SteadyTime paused_until_{};
};

}  // namespace cambrian::codegen
