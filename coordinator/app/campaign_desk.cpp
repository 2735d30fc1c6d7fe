#include "coordinator/app/campaign_desk.hpp"

#include <algorithm>
#include <chrono>

#include "common/log/log.hpp"
#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator {
namespace {

/// How long an action waits for the driver. It is stored before: this is courtesy.
constexpr milliseconds kApplyWaitMax{5'000};
constexpr milliseconds kApplyLookInterval{500};
constexpr int kEventsAtOnce = 256;

std::string_view verb(UserAction action) {
  switch (action) {
    case UserAction::pause: return "campaign_pause_requested";
    case UserAction::resume: return "campaign_resume_requested";
    case UserAction::stop: return "campaign_stop_requested";
  }
  return "campaign_requested";
}

}  // namespace

awaitable<Result<CampaignRecord>> CampaignDesk::create(CampaignDefinition definition,
                                                       Requester requester) {
  requester.campaigns_max = requester.has_all_rights ? 0 : campaigns_per_user_;
  CAMBRIAN_CO_TRY(auto record, co_await store_.create(std::move(definition), std::move(requester)));
  log::info("campaign_created", {{"campaign", record.name}, {"campaign_id", record.id.value}});
  hub_.notify(Topic::drivers());
  co_return record;
}

awaitable<Result<CampaignRecord>> CampaignDesk::act(std::string name, UserAction action,
                                                    Requester requester) {
  CAMBRIAN_CO_TRY(const auto sequence, co_await store_.request(name, action, requester));
  log::info(verb(action), {{"campaign", name}, {"sequence", sequence}});
  CAMBRIAN_CO_TRY(auto record, co_await store_.get(name));
  const auto topic = Topic::campaign(record.id);
  hub_.notify(topic);
  const auto deadline = hub_.now() + kApplyWaitMax;
  while (record.applied_sequence < sequence && !hub_.is_closed() && hub_.now() < deadline) {
    co_await hub_.wait(topic, hub_.version(topic), kApplyLookInterval);
    CAMBRIAN_CO_TRY(record, co_await store_.get(name));
  }
  co_return record;
}

awaitable<Result<CampaignRecord>> CampaignDesk::hint(std::string name, std::string text,
                                                     Requester requester) {
  CAMBRIAN_CO_TRY_STATUS(co_await store_.hint(name, text, std::move(requester)));
  log::info("campaign_hint_given", {{"campaign", name}, {"bytes", text.size()}});
  CAMBRIAN_CO_TRY(auto record, co_await store_.get(name));
  hub_.notify(Topic::campaign(record.id));
  co_return record;
}

awaitable<Result<EventBatch>> CampaignDesk::read_events(EventCursor cursor) {
  CAMBRIAN_CO_TRY(auto page, co_await store_.read_events(cursor.name, cursor.after, kEventsAtOnce));
  if (cursor.campaign && *cursor.campaign != page.campaign) {
    co_return fail(Errc::not_found, "the campaign was deleted: name=" + cursor.name);
  }
  const bool is_over = page.events.empty() && page.has_ended && page.last_sequence <= cursor.after;
  co_return EventBatch{page.campaign, std::move(page.events), is_over};
}

awaitable<Result<EventBatch>> CampaignDesk::next_events(EventCursor cursor, milliseconds wait_max) {
  if (!cursor.campaign) {
    CAMBRIAN_CO_TRY(auto batch, co_await read_events(cursor));
    if (!batch.events.empty() || batch.is_over) co_return batch;
    cursor.campaign = batch.campaign;
  }
  // The version before the look: an event between the look and the wait ends the wait at once.
  const auto topic = Topic::campaign(*cursor.campaign);
  const auto seen = hub_.version(topic);
  CAMBRIAN_CO_TRY(auto batch, co_await read_events(cursor));
  if (!batch.events.empty() || batch.is_over) co_return batch;
  co_await hub_.wait(topic, seen, wait_max);
  co_return co_await read_events(cursor);
}

}  // namespace cambrian::coordinator
