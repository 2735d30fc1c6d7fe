#pragma once

#include "coordinator/app/hub.hpp"
#include "coordinator/app/shortage_watch.hpp"
#include "coordinator/ports/campaign_api.hpp"

namespace cambrian::coordinator {

/// Serves users: what needs more than one look into the store. Lives on the app's single thread.
class CampaignDesk final : public CampaignApi {
 public:
  /// `campaigns_per_user`: that have not ended, of whoever has not all rights.
  CampaignDesk(CampaignStore& store, Hub& hub, const ShortageWatch& shortages,
               int campaigns_per_user)
      : store_(store), hub_(hub), shortages_(shortages), campaigns_per_user_(campaigns_per_user) {}

  awaitable<Result<CampaignRecord>> create(CampaignDefinition definition,
                                           Requester requester) override;
  awaitable<Result<CampaignRecord>> act(std::string name, UserAction action,
                                        Requester requester) override;
  awaitable<Result<CampaignRecord>> hint(std::string name, std::string text,
                                         Requester requester) override;
  awaitable<Result<EventBatch>> next_events(EventCursor cursor, milliseconds wait_max) override;
  std::string waiting_of(CampaignId campaign) const override {
    return shortages_.reason_of(campaign);
  }
  bool is_serving() const override { return !hub_.is_closed(); }

 private:
  awaitable<Result<EventBatch>> read_events(EventCursor cursor);

  CampaignStore& store_;
  Hub& hub_;
  const ShortageWatch& shortages_;
  int campaigns_per_user_;
};

}  // namespace cambrian::coordinator
