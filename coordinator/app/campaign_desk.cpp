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
                                                       std::string request_id) {
  CAMBRIAN_CO_TRY(auto record,
                  co_await store_.create(std::move(definition), std::move(request_id)));
  log::info("campaign_created", {{"campaign", record.name}, {"campaign_id", record.id.value}});
  hub_.notify(Topic::drivers());
  co_return record;
}

awaitable<Result<CampaignRecord>> CampaignDesk::act(std::string name, UserAction action,
                                                    std::string request_id) {
  CAMBRIAN_CO_TRY(const auto sequence, co_await store_.request(name, action, request_id));
  log::info(verb(action), {{"campaign", name}, {"sequence", sequence}});
  CAMBRIAN_CO_TRY(auto record, co_await store_.get(name));
  const auto topic = Topic::campaign(record.id);
  hub_.notify(topic);
  const auto deadline = std::chrono::steady_clock::now() + kApplyWaitMax;
  while (record.applied_sequence < sequence && !hub_.is_closed() &&
         std::chrono::steady_clock::now() < deadline) {
    co_await hub_.wait(topic, hub_.version(topic), kApplyLookInterval);
    CAMBRIAN_CO_TRY(record, co_await store_.get(name));
  }
  co_return record;
}

awaitable<Result<EventBatch>> CampaignDesk::next_events(std::string name, std::int64_t after,
                                                        milliseconds wait_max) {
  CAMBRIAN_CO_TRY(const auto record, co_await store_.get(name));
  const auto topic = Topic::campaign(record.id);
  const auto seen = hub_.version(topic);
  EventBatch batch;
  CAMBRIAN_CO_TRY(batch.events, co_await store_.read_events(record.id, after, kEventsAtOnce));
  if (batch.events.empty() && has_ended(record.state) && record.last_sequence <= after) {
    batch.is_over = true;
  }
  if (!batch.events.empty() || batch.is_over) co_return batch;
  co_await hub_.wait(topic, seen, wait_max);
  CAMBRIAN_CO_TRY(batch.events, co_await store_.read_events(record.id, after, kEventsAtOnce));
  co_return batch;
}

}  // namespace cambrian::coordinator
