// The coordinator and the search under simulated time, through histories of everything that may go
// wrong. See README.md.

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "tests/simulation/world.hpp"

namespace cambrian::coordinator::simulation {
namespace {

/// Of a quick run; CAMBRIAN_HISTORIES asks for another number.
constexpr std::uint64_t kHistories = 100;
/// So many reach every trouble.
constexpr std::uint64_t kManyHistories = 1'000;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("simulation: whatever goes wrong, nothing is lost, counted twice or taken late",
          "[unit][simulation]") {
  const char* given = std::getenv("CAMBRIAN_TEST_SEED");
  const auto first = number_from("CAMBRIAN_TEST_SEED", 1);
  const auto count = given != nullptr ? 1 : number_from("CAMBRIAN_HISTORIES", kHistories);
  Counts counts;
  for (auto seed = first; seed < first + count; ++seed) {
    INFO("CAMBRIAN_TEST_SEED=" << seed << " repeats it");
    World world(seed);
    world.run();
    for (const auto& [what, times] : world.counts()) counts[what] += times;
  }
  CHECK(counts["attempt_finished"] > 0);
  if (count < kManyHistories) return;
  // The histories reach every trouble: otherwise the test would not test it.
  for (const char* what : {"coordinator_killed",
                           "network_cut",
                           "database_away",
                           "user_acted",
                           "agent_killed",
                           "agent_frozen",
                           "agent_stopped",
                           "cancelled",
                           "verdict_0",
                           "verdict_1",
                           "verdict_2",
                           "verdict_3",
                           "attempt_lost",
                           "attempt_dropped",
                           "attempt_released",
                           "attempt_unable",
                           "attempt_infrastructure",
                           "attempt_overrun",
                           "attempt_cancelled",
                           "driver_changed",
                           "lie_refused",
                           "repeated_differently"}) {
    INFO(what);
    CHECK(counts[what] >= static_cast<std::int64_t>(count / 500));
  }
}

}  // namespace cambrian::coordinator::simulation
