#pragma once

#include "coordinator/ports/campaign_store.hpp"

namespace cambrian::coordinator {

/// Some events of a campaign.
struct EventBatch {
  std::vector<EventRecord> events;
  bool is_over = false;  ///< The campaign has ended and there is nothing behind these.
};

/// What the app offers to users beyond what the stores do by themselves. The server calls it on
/// the app's thread. Errors: those of CampaignStore.
class CampaignApi {
 public:
  virtual ~CampaignApi() = default;

  virtual awaitable<Result<CampaignRecord>> create(CampaignDefinition definition,
                                                   std::string request_id) = 0;

  /// Notes the wish and waits a moment until the search has followed it. Returns the campaign as
  /// it is then.
  virtual awaitable<Result<CampaignRecord>> act(std::string name, UserAction action,
                                                std::string request_id) = 0;

  /// Events behind `after`; waits up to `wait_max` when there are none.
  virtual awaitable<Result<EventBatch>> next_events(std::string name, std::int64_t after,
                                                    milliseconds wait_max) = 0;

  /// Why the campaign waits for agents that are not there; empty while it does not.
  virtual std::string waiting_of(CampaignId campaign) const = 0;

  /// False once the coordinator shuts down: long calls end then.
  virtual bool is_serving() const = 0;
};

}  // namespace cambrian::coordinator
