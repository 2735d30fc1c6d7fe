#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "cambrian/user/v1/campaign_service.pb.h"
#include "cli/output/eta.hpp"
#include "cli/session.hpp"

namespace cambrian::cli {

/// One line on a terminal's stderr that is drawn over itself. Used by one thread.
class StatusLine {
 public:
  /// The session must outlive the line.
  explicit StatusLine(const Session& session) : session_(session) {}
  ~StatusLine() { close(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  /// False where stderr is no terminal: nothing is drawn then.
  bool draw(std::string_view text);
  /// Ends the line, if one is drawn: other messages may follow.
  void close();

 private:
  const Session& session_;
  bool is_open_ = false;
};

/// How far a campaign is, on stderr. On a terminal one line that is drawn over itself; elsewhere a
/// line for each tenth evaluation, each new best variant and each new state. Used by one thread.
class ProgressLine {
 public:
  /// The session must outlive the line.
  explicit ProgressLine(const Session& session) : session_(session), line_(session) {}

  void show(const user::v1::Campaign& campaign);
  /// Other messages may follow.
  void close() { line_.close(); }

 private:
  const Session& session_;
  StatusLine line_;
  EtaEstimator eta_;
  std::int64_t step_ = -1;
  std::int64_t best_ = -1;
  user::v1::CampaignState state_ = user::v1::CAMPAIGN_STATE_UNSPECIFIED;
};

/// How many of a known number of things are done and when the rest will be, on stderr, for work
/// that takes longer than a second. On a terminal one line that is drawn over itself; elsewhere a
/// line every ten seconds. Used by one thread.
class CountProgress {
 public:
  /// `what` is a verb and its things: "exporting variants". The session must outlive this.
  CountProgress(const Session& session, std::string what, std::int64_t total)
      : session_(session), line_(session), what_(std::move(what)), total_(total) {}

  void show(std::int64_t done);

 private:
  using Clock = std::chrono::steady_clock;

  const Session& session_;
  StatusLine line_;
  std::string what_;
  std::int64_t total_;
  Clock::time_point began_ = Clock::now();
  Clock::time_point shown_ = began_;
};

}  // namespace cambrian::cli
