#include "worker/gpu_pool.hpp"

#include <catch2/catch_test_macros.hpp>
#include <future>
#include <set>

namespace cambrian::worker {
namespace {

using Ids = std::vector<std::string>;

TEST_CASE("GpuPool: no GPU is lent twice, and each comes back", "[unit][worker]") {
  GpuPool pool({"a", "b"});
  auto first = pool.borrow(1, {});
  const auto second = pool.borrow(1, {});
  REQUIRE((first && second));
  CHECK(std::set<std::string>{first->ids()[0], second->ids()[0]} ==
        std::set<std::string>{"a", "b"});
  const Ids given_back = first->ids();
  auto waiting = std::async(std::launch::async, [&pool] { return pool.borrow(1, {})->ids(); });
  first.reset();
  CHECK(waiting.get() == given_back);
}

TEST_CASE("GpuPool: more than there are is refused, and a stop ends waiting", "[unit][worker]") {
  GpuPool pool({"a"});
  CHECK_FALSE(pool.borrow(2, {}));
  CHECK(pool.borrow(0, {})->ids().empty());
  const auto loan = pool.borrow(1, {});
  std::stop_source stop;
  stop.request_stop();
  CHECK_FALSE(pool.borrow(1, stop.get_token()));
}

}  // namespace
}  // namespace cambrian::worker
