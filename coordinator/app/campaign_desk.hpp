#pragma once

#include "coordinator/app/hub.hpp"
#include "coordinator/ports/campaign_api.hpp"

namespace cambrian::coordinator {

/// Serves users: what needs more than one look into the store. Lives on the app's single thread.
class CampaignDesk final : public CampaignApi {
 public:
  CampaignDesk(CampaignStore& store, Hub& hub) : store_(store), hub_(hub) {}

  awaitable<Result<CampaignRecord>> create(CampaignDefinition definition,
                                           std::string request_id) override;
  awaitable<Result<CampaignRecord>> act(std::string name, UserAction action,
                                        std::string request_id) override;
  awaitable<Result<EventBatch>> next_events(std::string name, std::int64_t after,
                                            milliseconds wait_max) override;
  bool is_serving() const override { return !hub_.is_closed(); }

 private:
  CampaignStore& store_;
  Hub& hub_;
};

}  // namespace cambrian::coordinator
