#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "coordinator/ports/work.hpp"

namespace cambrian::coordinator::postgres {

/// Where in the queue of a campaign a claim begins to look. While an old transaction keeps VACUUM
/// from its work, every item that was claimed leaves a dead entry at the head of the index, and
/// each claim that begins there walks over all of them. A hint only saves time: once in a while,
/// and whenever there is too little behind it, a claim looks from the beginning.
class ClaimHints {
 public:
  using Clock = std::chrono::steady_clock;

  /// The first id to look at for each of the campaigns; 0: from the beginning. `needs` names what
  /// the agents can do: what others cannot take stays behind for them.
  std::vector<std::int64_t> starts(const std::string& needs,
                                   const std::vector<CampaignId>& campaigns,
                                   Clock::time_point now) {
    if (tables_.size() > kTablesMax) tables_.clear();
    auto& table = tables_[needs];
    if (now - table.looked_at >= kLookInterval) table = {.looked_at = now, .first = {}};
    std::vector<std::int64_t> starts;
    for (const auto campaign : campaigns) {
      const auto found = table.first.find(campaign);
      starts.push_back(found == table.first.end() ? 0 : found->second);
    }
    return starts;
  }

  /// `item` was the first that such agents could take.
  void note(const std::string& needs, CampaignId campaign, ItemId item) {
    auto& first = tables_[needs].first[campaign];
    first = std::max(first, item.value);
  }

  static constexpr std::chrono::milliseconds kLookInterval{1'000};
  static constexpr std::size_t kTablesMax = 64;

 private:
  struct Table {
    Clock::time_point looked_at;
    std::map<CampaignId, std::int64_t> first;
  };
  std::map<std::string, Table> tables_;
};

}  // namespace cambrian::coordinator::postgres
