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

TEST_CASE("hub: a notice wakes those who have waited longest", "[unit][coordinator]") {
  asio::io_context context;
  Hub hub;
  std::vector<int> woken;
  for (int name = 0; name < 4; ++name) {
    asio::co_spawn(context, sleeper(hub, name, woken), rethrow);
  }
  context.poll();
  CHECK(hub.waiting(kWork) == 4);
  hub.notify(Topic::work(WorkKind::proposal));
  context.poll();
  CHECK(woken.empty());
  hub.notify(kWork, 2);
  context.poll();
  CHECK(woken == std::vector{0, 1});
  hub.notify(kWork);
  context.poll();
  CHECK(woken == std::vector{0, 1, 2, 3});
  CHECK(hub.waiting(kWork) == 0);
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
  asio::co_spawn(context, sleeper(hub, 0, woken), rethrow);
  context.poll();
  hub.close();
  context.poll();
  CHECK(woken == std::vector{0});
  context.restart();
  asio::co_spawn(context, sleeper(hub, 1, woken), rethrow);
  context.poll();
  CHECK(woken == std::vector{0, 1});
  CHECK(hub.is_closed());
}
