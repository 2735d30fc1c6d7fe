#pragma once

#include <chrono>
#include <stop_token>

#include "codegen-client/domain/rate_limiter.hpp"

namespace cambrian::codegen {

/// Time that tests can move.
class Clock {
 public:
  virtual ~Clock() = default;

  virtual SteadyTime now() const = 0;
  /// Blocks the thread. False when it was stopped before the time had passed.
  virtual bool wait(std::chrono::nanoseconds duration, std::stop_token stop) = 0;
};

}  // namespace cambrian::codegen
