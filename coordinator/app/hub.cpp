#include "coordinator/app/hub.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace cambrian::coordinator {

namespace asio = boost::asio;

Hub::State& Hub::state_of(Topic topic) {
  const auto found = topics_.find(topic);
  if (found != topics_.end()) return found->second;
  if (topics_.size() >= kTopicsMax) {
    std::erase_if(topics_, [](const auto& one) { return one.second.waiters.empty(); });
  }
  return topics_.try_emplace(topic, State{.version = notices_, .waiters = {}}).first->second;
}

asio::awaitable<void> Hub::wait(Topic topic, std::uint64_t seen, milliseconds time) {
  auto& state = state_of(topic);
  // A topic with waiters is not forgotten: its state stays where it is.
  if (state.version == seen) co_await park(state.waiters, time);
}

asio::awaitable<void> Hub::pause(milliseconds time) { return park(sleepers_, time); }

asio::awaitable<void> Hub::park(Waiters& waiters, milliseconds time) {
  if (is_closed_ || time <= milliseconds(0)) co_return;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  clock_.arm(timer, time);
  const auto place = waiters.insert(waiters.end(), &timer);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  waiters.erase(place);
  clock_.disarm(timer);
}

void Hub::wake(Topic topic, std::size_t count) {
  auto& state = state_of(topic);
  state.version = ++notices_;
  for (auto* timer : state.waiters) {
    if (count-- == 0) break;
    timer->cancel();
  }
}

void Hub::notify(Topic topic) {
  wake(topic, kEverybody);
  if (topic.kind != Topic::Kind::campaign || news_.campaigns.size() >= kNewsMax) return;
  news_.campaigns.insert(CampaignId{topic.id});
  wake(Topic::news(), kEverybody);
}

void Hub::offer(WorkKind kind, std::size_t count) {
  if (count == 0) return;
  wake(Topic::work(kind), std::max(count, kWokenMin));
  news_.ready[kind] += count;
  wake(Topic::news(), kEverybody);
}

void Hub::hear(const News& news) {
  for (const auto& [kind, count] : news.ready) {
    if (count > 0) wake(Topic::work(kind), std::max(count, kWokenMin));
  }
  for (const auto campaign : news.campaigns) wake(Topic::campaign(campaign), kEverybody);
}

std::size_t Hub::waiting(Topic topic) const {
  const auto found = topics_.find(topic);
  return found == topics_.end() ? 0 : found->second.waiters.size();
}

void Hub::close() {
  is_closed_ = true;
  for (auto* timer : sleepers_) timer->cancel();
  for (auto& [topic, state] : topics_) {
    for (auto* timer : state.waiters) timer->cancel();
  }
}

}  // namespace cambrian::coordinator
