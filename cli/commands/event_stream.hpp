#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "cambrian/user/v1/campaign_service.pb.h"
#include "cli/session.hpp"

namespace cambrian::cli {

using OnEvent = std::function<void(const user::v1::Event&)>;

/// Events up to now, from the first one.
Status read_history(Session& session, const std::string& campaign, const OnEvent& on_event);

/// Follows a campaign until it ended, or until it is stopped. A broken connection is made anew, and
/// the stream goes on behind the last event, so that none is lost or told twice. Errors: not_found;
/// unavailable when the server stays away for `patience`. Blocks; events come on this thread.
class EventStream {
 public:
  EventStream(Session& session, std::string campaign, std::int64_t after)
      : session_(session), campaign_(std::move(campaign)), last_(after) {}

  /// `on_break` is told when the connection breaks, and again when the reason changes.
  Status follow(std::stop_token stop, const OnEvent& on_event,
                const std::function<void(const std::string&)>& on_break);

  std::int64_t last_sequence() const { return last_; }

  static constexpr std::chrono::minutes kPatience{5};

 private:
  Session& session_;
  std::string campaign_;
  std::int64_t last_;
};

/// Ctrl-C and SIGTERM as a stop token, for as long as it lives. To be made before other threads.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  bool is_interrupted() const { return stop_.stop_requested(); }

 private:
  struct State;
  std::stop_source stop_;
  std::unique_ptr<State> state_;
};

}  // namespace cambrian::cli
