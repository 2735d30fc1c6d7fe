#include "coordinator/app/hub.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace cambrian::coordinator {

namespace asio = boost::asio;

asio::awaitable<void> Hub::wait(Topic topic, std::uint64_t seen, milliseconds time) {
  auto& state = topics_[topic];
  if (is_closed_ || state.version != seen || time <= milliseconds(0)) co_return;
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  const auto place = state.waiters.insert(state.waiters.end(), &timer);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  state.waiters.erase(place);
}

void Hub::notify(Topic topic, std::size_t count) {
  auto& state = topics_[topic];
  ++state.version;
  for (auto* timer : state.waiters) {
    if (count-- == 0) break;
    timer->cancel();
  }
}

void Hub::close() {
  is_closed_ = true;
  for (auto& [topic, state] : topics_) {
    for (auto* timer : state.waiters) timer->cancel();
  }
}

}  // namespace cambrian::coordinator
