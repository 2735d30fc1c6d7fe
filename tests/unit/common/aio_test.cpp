#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <exception>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "common/aio/blocking.hpp"

namespace cambrian::aio {
namespace {

asio::awaitable<void> record_threads(BlockingPool& pool, std::vector<std::thread::id>* threads,
                                     Result<int>* result) {
  *result = co_await run_blocking(pool, [threads]() -> Result<int> {
    threads->push_back(std::this_thread::get_id());
    return 7;
  });
  threads->push_back(std::this_thread::get_id());
}

TEST_CASE("run_blocking: works on the pool and resumes on the caller", "[unit][aio]") {
  asio::io_context context;
  BlockingPool pool("test", 1, 4);
  std::vector<std::thread::id> threads;
  Result<int> result = fail(Errc::internal, "not run");
  asio::co_spawn(context, record_threads(pool, &threads, &result), [](std::exception_ptr) {});
  context.run();
  REQUIRE(threads.size() == 2);
  CHECK(threads[0] != std::this_thread::get_id());
  CHECK(threads[1] == std::this_thread::get_id());
  CHECK(result == 7);
}

TEST_CASE("run_blocking: what the function throws comes out at the caller", "[unit][aio]") {
  BlockingPool pool("test", 1, 1);
  asio::io_context context;
  std::exception_ptr failure;
  asio::co_spawn(
      context,
      [&]() -> asio::awaitable<void> {
        (void)co_await run_blocking(pool,
                                    []() -> Result<int> { throw std::runtime_error("thrown"); });
      },
      [&](std::exception_ptr thrown) { failure = thrown; });
  context.run();
  REQUIRE(failure);
  CHECK_THROWS_WITH(std::rethrow_exception(failure), "thrown");
  CHECK(pool.pending() == 0);
}

TEST_CASE("run_blocking: a full queue is refused", "[unit][aio]") {
  asio::io_context context;
  BlockingPool pool("test", 1, 1);
  const auto place = pool.try_enter();
  REQUIRE(place);
  std::vector<std::thread::id> threads;
  Result<int> result = 0;
  asio::co_spawn(context, record_threads(pool, &threads, &result), [](std::exception_ptr) {});
  context.run();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::exhausted);
  CHECK(pool.pending() == 1);
}

}  // namespace
}  // namespace cambrian::aio
