#pragma once

#include <cstdint>

#include "cambrian/user/v1/campaign_service.pb.h"
#include "cli/output/eta.hpp"
#include "cli/session.hpp"

namespace cambrian::cli {

/// How far a campaign is, on stderr. On a terminal one line that is drawn over itself; elsewhere a
/// line for each tenth evaluation, each new best variant and each new state. Used by one thread.
class ProgressLine {
 public:
  /// The session must outlive the line.
  explicit ProgressLine(const Session& session) : session_(session) {}
  ~ProgressLine() { close(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const user::v1::Campaign& campaign);
  /// Ends the line, if one is drawn: other messages may follow.
  void close();

 private:
  const Session& session_;
  EtaEstimator eta_;
  std::int64_t step_ = -1;
  std::int64_t best_ = -1;
  user::v1::CampaignState state_ = user::v1::CAMPAIGN_STATE_UNSPECIFIED;
  bool is_open_ = false;
};

}  // namespace cambrian::cli
