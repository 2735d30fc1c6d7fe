#include "coordinator/app/news_desk.hpp"

#include "common/log/log.hpp"

namespace cambrian::coordinator {
namespace {

/// What happens meanwhile is told together.
constexpr milliseconds kTellPause{10};
constexpr milliseconds kNeighbourLookInterval{1'000};

}  // namespace

awaitable<void> NewsDesk::run_tell() {
  while (!hub_.is_closed()) {
    const auto seen = hub_.version(Topic::news());
    auto news = hub_.take_news();
    if (!are_there_ || news.is_empty()) {
      co_await hub_.wait(Topic::news(), seen, kNeighbourLookInterval);
      continue;
    }
    const auto status = co_await neighbours_.tell(std::move(news));
    if (!status) log::debug("news_not_told", {{"reason", status.error().message}});
    co_await hub_.pause(kTellPause);
  }
}

awaitable<void> NewsDesk::run_look() {
  while (!hub_.is_closed()) {
    const auto are_there = co_await neighbours_.are_there();
    are_there_ = are_there.value_or(false);
    co_await hub_.pause(kNeighbourLookInterval);
  }
}

}  // namespace cambrian::coordinator
