#include "coordinator/adapters/grpc/rate_limit.hpp"

#include <catch2/catch_test_macros.hpp>

using cambrian::coordinator::wire::RateLimit;
using std::chrono::milliseconds;

TEST_CASE("rate limit: a second's worth at once, then as many as time gives back",
          "[unit][coordinator]") {
  RateLimit limit(10);
  auto now = RateLimit::Clock::time_point{} + std::chrono::hours(1);
  for (int i = 0; i < 10; ++i) CHECK_FALSE(limit.take("a", now));
  CHECK(limit.take("a", now) == milliseconds(100));
  CHECK_FALSE(limit.take("b", now));  // Everybody has an own one.
  now += milliseconds(50);
  CHECK(limit.take("a", now) == milliseconds(50));
  now += milliseconds(50);
  CHECK_FALSE(limit.take("a", now));
  CHECK(limit.take("a", now));
  now += std::chrono::hours(1);
  for (int i = 0; i < 10; ++i) CHECK_FALSE(limit.take("a", now));
  CHECK(limit.take("a", now));
}

TEST_CASE("rate limit: whoever is over it stays so, however many others come",
          "[unit][coordinator]") {
  RateLimit limit(1);
  const auto now = RateLimit::Clock::time_point{} + std::chrono::hours(1);
  CHECK_FALSE(limit.take("a", now));
  for (std::size_t i = 0; i < 2 * RateLimit::kBucketsMax; ++i) {
    limit.take(std::to_string(i), now + milliseconds(900) * (i % 2));
  }
  CHECK(limit.take("a", now + milliseconds(900)));
}
