#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <string>

#include "codegen-client/domain/circuit_breaker.hpp"
#include "codegen-client/domain/concurrency_limit.hpp"
#include "codegen-client/domain/rate_limiter.hpp"
#include "codegen-client/domain/retry.hpp"
#include "codegen-client/domain/tokens.hpp"

using namespace cambrian::codegen;
using namespace std::chrono_literals;

namespace {

constexpr UtcTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 1 / 31) + 12h;

std::optional<Milliseconds> delay(const CallFailure& failure, int done = 0, int most = 2) {
  cambrian::Rng rng(1);
  return retry_delay(failure, done, most, rng);
}

CallFailure failure_of(FailureKind kind) { return {.kind = kind}; }

}  // namespace

TEST_CASE("retry_after: milliseconds, seconds, fractions and dates", "[unit][retry]") {
  CHECK(parse_retry_after({{"retry-after-ms", "1500"}, {"retry-after", "9"}}, kNow) == 1500ms);
  CHECK(parse_retry_after({{"retry-after", "7"}}, kNow) == 7s);
  CHECK(parse_retry_after({{"retry-after", " 0.25 "}}, kNow) == 250ms);
  CHECK(parse_retry_after({{"retry-after", "Sat, 31 Jan 2026 12:00:30 GMT"}}, kNow) == 30s);
  CHECK(parse_retry_after({{"retry-after-ms", "x"}, {"retry-after", "2"}}, kNow) == 2s);
  for (const char* text : {"", "soon", "-3", "0", "nan", "inf", "1e400", "3 s",
                           "Sat, 31 Jan 2026 11:00:30 GMT", "Sat, 32 Jan 2026 12:00:30 GMT",
                           "Sat, 31 Foo 2026 12:00:30 GMT", "Sat, 31 Jan 2026 25:00:30 GMT"}) {
    CHECK_FALSE(parse_retry_after({{"retry-after", text}}, kNow));
  }
  CHECK_FALSE(parse_retry_after({}, kNow));
  CHECK(parse_retry_after({{"retry-after", "1e300"}}, kNow) > 24h);
}

TEST_CASE("retry: the kinds that are worth another try", "[unit][retry]") {
  for (const FailureKind kind :
       {FailureKind::rate_limited, FailureKind::server, FailureKind::connect,
        FailureKind::timed_out, FailureKind::cut, FailureKind::malformed}) {
    CHECK(delay(failure_of(kind)));
  }
  for (const FailureKind kind :
       {FailureKind::no_quota, FailureKind::refused_request, FailureKind::unauthorized,
        FailureKind::too_large, FailureKind::prompt_cut, FailureKind::circuit_open,
        FailureKind::cancelled}) {
    CHECK_FALSE(delay(failure_of(kind)));
  }
}

TEST_CASE("retry: the server's wish wins, but not over an empty account", "[unit][retry]") {
  CHECK(delay({.kind = FailureKind::refused_request, .should_retry = true}));
  CHECK_FALSE(delay({.kind = FailureKind::server, .should_retry = false}));
  CHECK_FALSE(delay({.kind = FailureKind::no_quota, .should_retry = true}));
  CHECK(parse_should_retry({{"x-should-retry", "true"}}) == true);
  CHECK(parse_should_retry({{"x-should-retry", "false"}}) == false);
  CHECK_FALSE(parse_should_retry({{"x-should-retry", "maybe"}}));
}

TEST_CASE("retry: a wait of more than two minutes is not waited for", "[unit][retry]") {
  CHECK(delay({.kind = FailureKind::rate_limited, .retry_after = 120s}) == 120s);
  CHECK_FALSE(delay({.kind = FailureKind::rate_limited, .retry_after = 120001ms}));
}

TEST_CASE("retry: waits double up to eight seconds, with full jitter", "[unit][retry]") {
  cambrian::Rng rng(7);
  for (int done = 0; done < kRetriesMax; ++done) {
    const auto full = std::min<Milliseconds>(500ms * (1 << std::min(done, 5)), 8000ms);
    Milliseconds shortest = full;
    Milliseconds longest{0};
    for (int i = 0; i < 200; ++i) {
      const auto wait = retry_delay(failure_of(FailureKind::server), done, kRetriesMax, rng);
      REQUIRE(wait);
      shortest = std::min(shortest, *wait);
      longest = std::max(longest, *wait);
    }
    CHECK(shortest < full / 10);
    CHECK(longest > full * 9 / 10);
    CHECK(longest <= full);
  }
  CHECK_FALSE(delay(failure_of(FailureKind::server), 2, 2));
  CHECK_FALSE(delay(failure_of(FailureKind::server), 0, 0));
  CHECK_FALSE(delay(failure_of(FailureKind::server), kRetriesMax, 1000));
}

TEST_CASE("concurrency_limit: halves once for a burst of refusals, and grows back slowly",
          "[unit][limiter]") {
  ConcurrencyLimit limit(8);
  const SteadyTime sent{1h};
  for (int i = 0; i < 8; ++i) {
    REQUIRE(limit.has_room());
    limit.enter();
  }
  CHECK_FALSE(limit.has_room());
  // All eight are refused: they ran beside each other.
  for (int i = 0; i < 8; ++i) limit.report_rate_limited(sent, sent + 1s + i * 1ms);
  CHECK(limit.limit() == 4);
  for (int i = 0; i < 4; ++i) limit.leave();
  CHECK_FALSE(limit.has_room());
  limit.leave();
  CHECK(limit.has_room());
  for (int i = 0; i < 4; ++i) limit.report_success();
  CHECK(limit.limit() == 4);
  limit.report_success();
  CHECK(limit.limit() == 5);
  for (int i = 0; i < 100; ++i) limit.report_success();
  CHECK(limit.limit() == 8);
  for (int i = 0; i < 10; ++i) limit.report_rate_limited(sent + i * 1min, sent + i * 1min);
  CHECK(limit.limit() == 1);
  CHECK(ConcurrencyLimit(0).limit() == 1);
}

TEST_CASE("rate_limiter: requests are spread over the minute", "[unit][limiter]") {
  RateLimiter limiter(60, 0);  // A bucket of 6, one a second.
  SteadyTime now{1h};
  for (int i = 0; i < 6; ++i) {
    REQUIRE(limiter.wait_for(100, now) == 0ns);
    limiter.take(100);
  }
  const auto wait = limiter.wait_for(100, now);
  CHECK(wait > 900ms);
  CHECK(wait < 1100ms);
  now += wait;
  CHECK(limiter.wait_for(100, now) == 0ns);
}

TEST_CASE("rate_limiter: tokens are reserved and settled", "[unit][limiter]") {
  RateLimiter limiter(0, 60'000);  // A bucket of 6,000, a thousand a second.
  const SteadyTime now{1h};
  REQUIRE(limiter.wait_for(5000, now) == 0ns);
  limiter.take(5000);
  CHECK(limiter.wait_for(5000, now) > 3900ms);
  limiter.settle(5000, 1000);
  CHECK(limiter.wait_for(5000, now) == 0ns);
  // More than the bucket holds: let through when it is full, and paid back later.
  REQUIRE(limiter.wait_for(50'000, now + 1h) == 0ns);
  limiter.take(50'000);
  CHECK(limiter.wait_for(1, now + 1h) > 43s);
}

TEST_CASE("rate_limiter: a pause holds everybody", "[unit][limiter]") {
  RateLimiter limiter(0, 0);
  const SteadyTime now{1h};
  CHECK(limiter.wait_for(1'000'000, now) == 0ns);
  limiter.pause_until(now + 7s);
  limiter.pause_until(now + 3s);
  CHECK(limiter.wait_for(1, now) == 7s);
  CHECK(limiter.wait_for(1, now + 7s) == 0ns);
}

TEST_CASE("circuit_breaker: opens after failures in a row, and lets one trial through",
          "[unit][breaker]") {
  CircuitBreaker breaker;
  SteadyTime now{1h};
  for (int i = 1; i < CircuitBreaker::kFailuresMax; ++i) CHECK_FALSE(breaker.report_failure(now));
  breaker.report_success();
  for (int i = 1; i < CircuitBreaker::kFailuresMax; ++i) CHECK_FALSE(breaker.report_failure(now));
  CHECK(breaker.enter(now) == 0ns);
  CHECK(breaker.report_failure(now));
  CHECK(breaker.enter(now) == CircuitBreaker::kOpenFirst);
  CHECK_FALSE(breaker.report_failure(now));  // A late one.
  now += CircuitBreaker::kOpenFirst;
  CHECK(breaker.enter(now) == 0ns);
  CHECK(breaker.enter(now) > 0ns);  // The trial runs.
  CHECK(breaker.report_failure(now));
  CHECK(breaker.enter(now) == CircuitBreaker::kOpenFirst * 2);
  now += CircuitBreaker::kOpenFirst * 2;
  REQUIRE(breaker.enter(now) == 0ns);
  breaker.report_success();
  CHECK(breaker.enter(now) == 0ns);
  CHECK(breaker.enter(now) == 0ns);
}

TEST_CASE("circuit_breaker: stays shut for two minutes at most", "[unit][breaker]") {
  CircuitBreaker breaker;
  SteadyTime now{1h};
  for (int i = 0; i < 20; ++i) {
    const auto wait = breaker.enter(now);
    CHECK(wait <= CircuitBreaker::kOpenMax);
    now += wait;
    if (wait > 0ns) {
      REQUIRE(breaker.enter(now) == 0ns);
    }
    breaker.report_failure(now);
  }
}

TEST_CASE("tokens: estimates are near known counts", "[unit][tokens]") {
  CHECK(estimate_tokens("") == 0);
  CHECK(estimate_tokens("hello world") == 2);
  CHECK(estimate_tokens(std::string(64, ' ')) == 4);
  const std::vector<Message> messages = {{.role = Role::user, .content = "hello world"}};
  CHECK(estimate_tokens(messages) == 6);
}

TEST_CASE("tokens: a prompt that was cut is noticed", "[unit][tokens]") {
  CHECK(is_prompt_complete(10'000, 7'000));
  CHECK_FALSE(is_prompt_complete(10'000, 6'900));
  CHECK_FALSE(is_prompt_complete(6'000, 2'050));
  CHECK_FALSE(is_prompt_complete(900, 512));
  CHECK_FALSE(is_prompt_complete(400, 128));
  CHECK(is_prompt_complete(400, 360));
  CHECK(is_prompt_complete(20, 1));      // Too short to tell.
  CHECK(is_prompt_complete(10'000, 0));  // The server does not count.
}

TEST_CASE("tokens: prices add up in millionths of a dollar", "[unit][tokens]") {
  const Prices prices{.prompt_usd_per_million = 2.5, .completion_usd_per_million = 10};
  CHECK(cost_micro_usd({.prompt_tokens = 1000, .completion_tokens = 100}, prices) == 3500);
  CHECK(cost_micro_usd({.prompt_tokens = 1, .completion_tokens = 0}, prices) == 3);
  CHECK(cost_micro_usd({.prompt_tokens = 1000, .completion_tokens = 100}, {}) == 0);
  const TokenUsage cached{
      .prompt_tokens = 1000, .completion_tokens = 100, .cached_prompt_tokens = 800};
  CHECK(cost_micro_usd(cached, prices) == 3500);
  Prices cheaper = prices;
  cheaper.cached_prompt_usd_per_million = 0.25;
  CHECK(cost_micro_usd(cached, cheaper) == 1700);
  cheaper.cached_prompt_usd_per_million = 0;
  CHECK(cost_micro_usd(cached, cheaper) == 1500);
}
