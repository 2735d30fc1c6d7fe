#include "codegen-client/domain/rate_limiter.hpp"

#include <algorithm>

namespace cambrian::codegen {
namespace {

constexpr double kSecondsPerMinute = 60;
constexpr double kBurstShare = 0.1;  // Of a minute's amount.

}  // namespace

TokenBucket::TokenBucket(double per_minute)
    : per_minute_(per_minute),
      capacity_(std::max(1.0, per_minute * kBurstShare)),
      level_(capacity_) {}

void TokenBucket::refill(SteadyTime now) {
  if (now <= last_) return;
  const std::chrono::duration<double> passed = now - last_;
  last_ = now;
  level_ = std::min(capacity_, level_ + passed.count() * per_minute_ / kSecondsPerMinute);
}

std::chrono::nanoseconds TokenBucket::wait_for(double amount, SteadyTime now) {
  if (per_minute_ <= 0) return {};
  refill(now);
  const double missing = std::min(amount, capacity_) - level_;
  if (missing <= 1e-9) return {};
  const std::chrono::duration<double> wait(missing * kSecondsPerMinute / per_minute_);
  return std::chrono::duration_cast<std::chrono::nanoseconds>(wait) + std::chrono::microseconds(1);
}

void TokenBucket::give_back(double amount) { level_ = std::min(capacity_, level_ + amount); }

RateLimiter::RateLimiter(double requests_per_minute, double tokens_per_minute)
    : requests_(requests_per_minute), tokens_(tokens_per_minute) {}

std::chrono::nanoseconds RateLimiter::wait_for(std::int64_t tokens, SteadyTime now) {
  return std::max({paused_until_ - now, requests_.wait_for(1, now),
                   tokens_.wait_for(static_cast<double>(tokens), now),
                   std::chrono::nanoseconds(0)});
}

void RateLimiter::take(std::int64_t tokens) {
  requests_.take(1);
  tokens_.take(static_cast<double>(tokens));
}

void RateLimiter::settle(std::int64_t reserved, std::int64_t used) {
  tokens_.give_back(static_cast<double>(reserved - used));
}

void RateLimiter::pause_until(SteadyTime time) { paused_until_ = std::max(paused_until_, time); }

}  // namespace cambrian::codegen
