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

/// Says of each GPU what the test says.
struct ToldWatch final : GpuWatch {
  Result<std::int64_t> memory_used(const std::string&) override { return 0; }
  std::string find_trouble(const std::string& gpu) override { return troubles[gpu]; }
  std::map<std::string, std::string> troubles;
};

TEST_CASE("GpuPool: who waits for a GPU that breaks is not left waiting", "[unit][worker]") {
  ToldWatch watch;
  watch.troubles["b"] = "broken from the start";
  GpuPool pool({"a", "b"}, &watch);
  CHECK(pool.in_trouble() == std::map<std::string, std::string>{{"b", "broken from the start"}});
  auto loan = pool.borrow(1, {});
  REQUIRE(loan);
  auto waiting = std::async(std::launch::async, [&pool] { return pool.borrow(1, {}).has_value(); });
  watch.troubles["a"] = "broken now";
  loan.reset();
  CHECK_FALSE(waiting.get());
  watch.troubles.clear();
  pool.look_again();
  CHECK(pool.in_trouble().empty());
  CHECK(pool.borrow(2, {}));
}

}  // namespace
}  // namespace cambrian::worker
