#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "codegen-client/ports/clock.hpp"

namespace cambrian::codegen {

/// Asks for a stop when another one does, or when some time has passed. Its thread, of which there
/// is one only with a time, ends with it.
class StopAfter {
 public:
  /// The clock must outlive it.
  StopAfter(Clock& clock, std::optional<std::chrono::nanoseconds> time, std::stop_token other)
      : on_other_(std::move(other), [this] { source_.request_stop(); }) {
    if (!time) return;
    timer_ = std::jthread([this, &clock, time](std::stop_token end) {
      if (!clock.wait(*time, std::move(end))) return;
      is_over_ = true;
      source_.request_stop();
    });
  }
  StopAfter(const StopAfter&) = delete;
  StopAfter& operator=(const StopAfter&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  /// The time has passed.
  bool is_over() const { return is_over_; }

 private:
  std::stop_source source_;
  std::atomic<bool> is_over_ = false;
  std::stop_callback<std::function<void()>> on_other_;
  std::jthread timer_;
};

}  // namespace cambrian::codegen
