#include "codegen-client/app/reserved_ledger.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tests/unit/codegen-client/fakes.hpp"

using namespace cambrian::codegen;

namespace {

CallIntent intent_of(std::int64_t tokens, std::int64_t cost = 0) {
  return {
      .prompt_tokens = tokens / 2, .output_tokens = tokens - tokens / 2, .cost_micro_usd = cost};
}

CallRecord record_of(std::int64_t tokens, std::int64_t cost = 0) {
  return {.usage = {.prompt_tokens = tokens}, .cost_micro_usd = cost};
}

}  // namespace

TEST_CASE("reserved_ledger: what runs counts in full, what has ended with what it took",
          "[unit][ledger]") {
  MemoryLedger inner;
  ReservedLedger ledger(inner, 100, 0);
  const auto first = ledger.begin(intent_of(60), {});
  REQUIRE(first);
  const auto refused = ledger.begin(intent_of(41), {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == cambrian::Errc::exhausted);
  CHECK(inner.begun.size() == 1);
  ledger.end(*first, record_of(20), std::nullopt);
  CHECK(inner.ended.size() == 1);
  CHECK(ledger.begin(intent_of(80), {}));
  CHECK_FALSE(ledger.begin(intent_of(1), {}));
}

TEST_CASE("reserved_ledger: money counts like tokens, and nothing limits nothing",
          "[unit][ledger]") {
  MemoryLedger inner;
  ReservedLedger money(inner, 0, 10);
  CHECK(money.begin(intent_of(1'000'000, 10), {}));
  CHECK_FALSE(money.begin(intent_of(1, 1), {}));
  ReservedLedger nothing(inner, 0, 0);
  for (int i = 0; i < 3; ++i) CHECK(nothing.begin(intent_of(1'000'000, 1'000'000), {}));
}

TEST_CASE("reserved_ledger: what the ledger refuses takes nothing", "[unit][ledger]") {
  MemoryLedger inner;
  ReservedLedger ledger(inner, 100, 0);
  inner.refusal = cambrian::Error{cambrian::Errc::unavailable, "away"};
  CHECK(ledger.begin(intent_of(100), {}).error().code == cambrian::Errc::unavailable);
  inner.refusal.reset();
  CHECK(ledger.begin(intent_of(100), {}));
}
