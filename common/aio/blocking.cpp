#include "common/aio/blocking.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace cambrian::aio::detail {
namespace {

asio::awaitable<void> invoke(std::function<void()> work) {
  work();
  co_return;
}

}  // namespace

asio::awaitable<void> run_on(asio::thread_pool::executor_type executor,
                             std::function<void()> work) {
  co_await asio::co_spawn(executor, invoke(std::move(work)), asio::use_awaitable);
}

}  // namespace cambrian::aio::detail
