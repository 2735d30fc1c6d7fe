#include "coordinator/app/hub.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_test_macros.hpp>
#include <exception>
#include <vector>

using namespace cambrian::coordinator;
namespace asio = boost::asio;

namespace {

constexpr milliseconds kForever{1'000'000};
const Topic kWork = Topic::work(WorkKind::evaluation);

/// Sleeps on a topic and says its name when it wakes.
asio::awaitable<void> sleeper(Hub& hub, int name, std::vector<int>& woken) {
  co_await hub.wait(kWork, hub.version(kWork), kForever);
  woken.push_back(name);
}

void rethrow(const std::exception_ptr& failure) {
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

TEST_CASE("hub: an offer wakes those who have waited longest, a notice everybody",
          "[unit][coordinator]") {
  asio::io_context context;
  Hub hub;
  std::vector<int> woken;
  constexpr std::size_t kSleepers = 3 * Hub::kWokenMin;
  std::vector<int> names;
  for (std::size_t i = 0; i < kSleepers; ++i) {
    names.push_back(static_cast<int>(i));
    asio::co_spawn(context, sleeper(hub, names.back(), woken), rethrow);
  }
  context.poll();
  CHECK(hub.waiting(kWork) == kSleepers);
  hub.notify(Topic::work(WorkKind::proposal));
  hub.offer(WorkKind::evaluation, 0);
  context.poll();
  CHECK(woken.empty());
  hub.offer(WorkKind::evaluation, 2);
  context.poll();
  CHECK(woken.size() == Hub::kWokenMin);
  hub.offer(WorkKind::evaluation, Hub::kWokenMin + 1);
  context.poll();
  CHECK(woken.size() == 2 * Hub::kWokenMin + 1);
  hub.notify(kWork);
  context.poll();
  CHECK(woken == names);
  CHECK(hub.waiting(kWork) == 0);
}

TEST_CASE("hub: forgets topics that nobody waits for, and misses no notice by it",
          "[unit][coordinator]") {
  asio::io_context context;
  Hub hub;
  std::vector<int> woken;
  asio::co_spawn(context, sleeper(hub, 0, woken), rethrow);
  context.poll();
  const Topic watched = Topic::campaign(CampaignId{1});
  const auto seen = hub.version(watched);
  for (std::size_t i = 2; i < 3 * Hub::kTopicsMax; ++i) {
    hub.notify(Topic::campaign(CampaignId{static_cast<std::int64_t>(i)}));
  }
  CHECK(hub.topics() <= Hub::kTopicsMax);
  CHECK(hub.waiting(kWork) == 1);
  hub.notify(watched);
  for (std::size_t i = 2; i < 3 * Hub::kTopicsMax; ++i) {
    hub.version(Topic::campaign(CampaignId{static_cast<std::int64_t>(i)}));
  }
  bool has_returned = false;
  asio::co_spawn(context, hub.wait(watched, seen, kForever), [&](const std::exception_ptr& error) {
    rethrow(error);
    has_returned = true;
  });
  context.poll();
  CHECK(has_returned);
  hub.close();
  context.poll();
  CHECK(woken == std::vector{0});
}

TEST_CASE("hub: a notice between the look and the wait is not missed", "[unit][coordinator]") {
  asio::io_context context;
  Hub hub;
  const auto seen = hub.version(kWork);
  hub.notify(kWork);
  bool has_returned = false;
  asio::co_spawn(context, hub.wait(kWork, seen, kForever), [&](const std::exception_ptr& failure) {
    rethrow(failure);
    has_returned = true;
  });
  context.poll();
  CHECK(has_returned);
}

TEST_CASE("hub: a closed hub lets nobody sleep", "[unit][coordinator]") {
  asio::io_context context;
  Hub hub;
  std::vector<int> woken;
  bool has_paused = false;
  asio::co_spawn(context, sleeper(hub, 0, woken), rethrow);
  asio::co_spawn(context, hub.pause(kForever), [&](const std::exception_ptr& failure) {
    rethrow(failure);
    has_paused = true;
  });
  context.poll();
  CHECK_FALSE(has_paused);
  hub.close();
  context.poll();
  CHECK(has_paused);
  CHECK(woken == std::vector{0});
  context.restart();
  asio::co_spawn(context, hub.pause(kForever), rethrow);
  asio::co_spawn(context, sleeper(hub, 1, woken), rethrow);
  context.poll();
  CHECK(woken == std::vector{0, 1});
  CHECK(hub.is_closed());
}

TEST_CASE("hub: what happens here is news for others once, what they tell is not told back",
          "[unit][coordinator]") {
  asio::io_context context;
  Hub hub;
  std::vector<int> woken;
  News heard;
  heard.ready[WorkKind::evaluation] = 1;
  heard.campaigns = {CampaignId{7}};
  asio::co_spawn(context, sleeper(hub, 1, woken), rethrow);
  context.poll();
  const auto campaign_before = hub.version(Topic::campaign({7}));
  hub.hear(heard);
  context.poll();
  CHECK(woken.size() == 1);
  CHECK(hub.version(Topic::campaign({7})) != campaign_before);
  CHECK(hub.take_news().is_empty());

  const auto news_before = hub.version(Topic::news());
  hub.offer(WorkKind::evaluation, 2);
  hub.offer(WorkKind::evaluation, 3);
  hub.notify(Topic::campaign({8}));
  hub.notify(Topic::drivers());
  CHECK(hub.version(Topic::news()) != news_before);
  const auto news = hub.take_news();
  CHECK(news.ready == std::map<WorkKind, std::size_t>{{WorkKind::evaluation, 5}});
  CHECK(news.campaigns == std::set<CampaignId>{CampaignId{8}});
  CHECK(hub.take_news().is_empty());
  for (std::size_t i = 0; i < 2 * Hub::kNewsMax; ++i) {
    hub.notify(Topic::campaign({static_cast<std::int64_t>(i)}));
  }
  CHECK(hub.take_news().campaigns.size() == Hub::kNewsMax);
}
