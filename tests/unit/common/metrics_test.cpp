#include "common/metrics/metrics.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

namespace cambrian::metrics {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("Registry: prints what was counted", "[unit][metrics]") {
  Registry registry;
  auto counter = registry.counter("cambrian_test_things_total", "Things", {{"kind", "a"}});
  counter.add();
  registry.counter("cambrian_test_things_total", "Things", {{"kind", "a"}}).add(2);
  registry.histogram("cambrian_test_wait_seconds", "Wait", {1, 2}).observe(1.5);
  CHECK_THAT(registry.text(), ContainsSubstring("cambrian_test_things_total{kind=\"a\"} 3"));
  CHECK_THAT(registry.text(), ContainsSubstring("cambrian_test_wait_seconds_bucket{le=\"2\"} 1"));
}

TEST_CASE("Registry: a removed gauge is gone and can come back", "[unit][metrics]") {
  Registry registry;
  registry.gauge("cambrian_test_score", "Score", {{"campaign", "x"}}).set(7);
  registry.remove_gauge("cambrian_test_score", {{"campaign", "x"}});
  CHECK_THAT(registry.text(), !ContainsSubstring("campaign=\"x\""));
  registry.gauge("cambrian_test_score", "Score", {{"campaign", "x"}}).set(8);
  CHECK_THAT(registry.text(), ContainsSubstring("cambrian_test_score{campaign=\"x\"} 8"));
}

TEST_CASE("Registry: an address that is taken is an error", "[unit][metrics]") {
  Registry first;
  const auto port = first.serve("127.0.0.1:0");
  REQUIRE(port);
  Registry second;
  const auto taken = second.serve("127.0.0.1:" + std::to_string(*port));
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == Errc::unavailable);
}

}  // namespace
}  // namespace cambrian::metrics
