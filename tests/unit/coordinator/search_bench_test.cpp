#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdio>

#include "tests/unit/coordinator/search_driver.hpp"

// Not run by default: coordinator_search_test "[bench]" prints what an event costs as the campaign
// grows. Two events belong to one evaluation.

namespace cambrian::search {
namespace {

TEST_CASE("Search: an event costs the same in a large campaign", "[.][unit][bench]") {
  constexpr std::int64_t kVariants = 1'000'000;
  constexpr std::int64_t kReport = 100'000;
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 16;
  settings.island_size = 10'000;
  settings.features = {
      {"source_tokens", 64, 0, 1000, false}, {"size", 64, 0, 1, false}, {"depth", 64, 0, 1, false}};
  settings.evaluations_parallel = 256;
  settings.proposals_parallel = 64;
  settings.budget.evaluations = kVariants;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  Rng rng(1);
  auto since = std::chrono::steady_clock::now();
  for (std::int64_t i = 1; driver.search.phase() == Phase::running; ++i) {
    driver.all.clear();
    ProposalFinished answer;
    answer.proposal = ProposalNumber{i};
    answer.variants = {{"digest " + std::to_string(i), rng.between(1, 1000)}};
    driver.send(answer);
    EvaluationFinished result;
    result.evaluation = EvaluationNumber{driver.first_open_evaluation()};
    result.metrics = {
        {"accuracy", rng.uniform()}, {"size", rng.uniform()}, {"depth", rng.uniform()}};
    driver.send(result);
    if (i % kReport != 0) continue;
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double, std::micro> spent = now - since;
    std::size_t members = 0;
    for (const auto& island : driver.search.members()) members += island.size();
    std::printf("variants=%lld members=%zu event_us=%.2f\n", static_cast<long long>(i), members,
                spent.count() / (2.0 * kReport));
    since = std::chrono::steady_clock::now();
  }
  CHECK(driver.search.consumption().evaluations == kVariants);
}

}  // namespace
}  // namespace cambrian::search
