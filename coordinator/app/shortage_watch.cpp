#include "coordinator/app/shortage_watch.hpp"

#include <array>

#include "common/log/log.hpp"

namespace cambrian::coordinator {
namespace {

constexpr milliseconds kLookInterval{5'000};

std::string sandbox_word(int level) {
  constexpr std::array<const char*, 4> kLevels = {"any", "limits", "standard", "strict"};
  return level >= 0 && level < 4 ? kLevels[static_cast<std::size_t>(level)] : std::to_string(level);
}

}  // namespace

std::string describe(const Shortage& shortage) {
  if (shortage.is_endpoint_away) {
    return "the endpoint of the model fails or does not answer; see the log of the codegen client";
  }
  if (shortage.kind == WorkKind::proposal) {
    if (!shortage.has_agents || shortage.model.empty()) return "no codegen client is connected";
    return "no connected codegen client offers the model " + shortage.model;
  }
  if (!shortage.has_agents) return "no worker is connected";
  if (!shortage.trouble.empty()) return shortage.trouble;
  auto text = "no connected worker has the runtime " + shortage.runtime + " with sandbox level " +
              sandbox_word(shortage.sandbox_level);
  if (shortage.gpus > 0) text += " and GPUs: " + std::to_string(shortage.gpus);
  return text;
}

awaitable<void> ShortageWatch::run() {
  auto pause = kShortagePatience;
  while (!hub_.is_closed()) {
    co_await hub_.pause(pause);
    if (hub_.is_closed()) break;
    const auto status = co_await look_once();
    // After an outage agents need a while to come back.
    pause = status ? kLookInterval : kShortagePatience;
    if (!status) log::debug("shortage_look_failed", {{"reason", status.error().message}});
  }
}

awaitable<Status> ShortageWatch::look_once() {
  if (!has_read_notes_) {
    CAMBRIAN_CO_TRY(reasons_, co_await store_.noted());
    has_read_notes_ = true;
  }
  CAMBRIAN_CO_TRY(const auto shortages, co_await store_.find(silence_max_, kShortagePatience));
  std::map<CampaignId, std::string> found;
  for (const auto& shortage : shortages) found[shortage.campaign] = describe(shortage);
  const auto before = reasons_;
  for (const auto& [campaign, reason] : before) {
    if (!found.contains(campaign)) CAMBRIAN_CO_TRY_STATUS(co_await note(campaign, ""));
  }
  for (const auto& [campaign, reason] : found) {
    if (reason != reason_of(campaign)) CAMBRIAN_CO_TRY_STATUS(co_await note(campaign, reason));
  }
  co_return Status();
}

awaitable<Status> ShortageWatch::note(CampaignId campaign, std::string reason) {
  CAMBRIAN_CO_TRY_STATUS(co_await store_.note(campaign, reason));
  log::info(reason.empty() ? "campaign_served" : "campaign_waits",
            {{"campaign_id", campaign.value}, {"reason", reason}});
  if (reason.empty()) {
    reasons_.erase(campaign);
  } else {
    reasons_[campaign] = std::move(reason);
  }
  hub_.notify(Topic::campaign(campaign));
  co_return Status();
}

std::string ShortageWatch::reason_of(CampaignId campaign) const {
  const auto found = reasons_.find(campaign);
  return found == reasons_.end() ? std::string() : found->second;
}

}  // namespace cambrian::coordinator
