#pragma once

#include <map>
#include <string>

#include "coordinator/app/hub.hpp"
#include "coordinator/ports/shortage_store.hpp"

namespace cambrian::coordinator {

/// How long work may be ready, and agents may need to come back, before a campaign is said to wait.
inline constexpr milliseconds kShortagePatience{15'000};

/// What work needs, in words: "no codegen client is connected".
std::string describe(const Shortage& shortage);

/// Tells users when a campaign waits for an agent that is not there: in its log, and with the
/// campaign itself. Any number of coordinators may do so at once. Lives on the app's thread.
class ShortageWatch {
 public:
  /// Agents that were silent for longer than `silence_max` are gone.
  ShortageWatch(ShortageStore& store, Hub& hub, milliseconds silence_max)
      : store_(store), hub_(hub), silence_max_(silence_max) {}

  /// Runs until the hub closes.
  awaitable<void> run();

  /// Why the campaign waits; empty while it does not.
  std::string reason_of(CampaignId campaign) const;

 private:
  awaitable<Status> look_once();
  awaitable<Status> note(CampaignId campaign, std::string reason);

  ShortageStore& store_;
  Hub& hub_;
  milliseconds silence_max_;
  bool has_read_notes_ = false;
  std::map<CampaignId, std::string> reasons_;  // As noted.
};

}  // namespace cambrian::coordinator
