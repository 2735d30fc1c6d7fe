#pragma once

#include "coordinator/ports/campaign_store.hpp"

namespace cambrian::coordinator {

/// Where a watcher of a campaign is.
struct EventCursor {
  std::string name;
  std::int64_t after = 0;                ///< The last event that it has seen.
  std::optional<CampaignId> campaign{};  ///< From the batch before: saves a look.
};

/// Some events of a campaign.
struct EventBatch {
  CampaignId campaign;
  std::vector<EventRecord> events;
  bool is_over = false;  ///< The campaign has ended and there is nothing behind these.
};

/// What the app offers to users beyond what the stores do by themselves. The server calls it on
/// the app's thread. Errors: those of CampaignStore.
class CampaignApi {
 public:
  virtual ~CampaignApi() = default;

  virtual awaitable<Result<CampaignRecord>> create(CampaignDefinition definition,
                                                   Requester requester) = 0;

  /// Notes the wish and waits a moment until the search has followed it. Returns the campaign as
  /// it is then.
  virtual awaitable<Result<CampaignRecord>> act(std::string name, UserAction action,
                                                Requester requester) = 0;

  /// Notes what a person tells the model from now on, and returns the campaign. Errors: those of
  /// CampaignStore::hint.
  virtual awaitable<Result<CampaignRecord>> hint(std::string name, std::string text,
                                                 Requester requester) = 0;

  /// Events behind the cursor; waits up to `wait_max` when there are none. Errors: `not_found`,
  /// also when the name is another campaign's by now.
  virtual awaitable<Result<EventBatch>> next_events(EventCursor cursor, milliseconds wait_max) = 0;

  /// Why the campaign waits for agents that are not there; empty while it does not.
  virtual std::string waiting_of(CampaignId campaign) const = 0;

  /// False once the coordinator shuts down: long calls end then.
  virtual bool is_serving() const = 0;
};

}  // namespace cambrian::coordinator
