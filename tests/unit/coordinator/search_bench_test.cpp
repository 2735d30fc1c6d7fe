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

TEST_CASE("Policy: a parent out of a million variants takes less than a millisecond",
          "[.][unit][bench]") {
  constexpr std::int64_t kVariants = 1'000'000;
  constexpr std::int64_t kChoices = 10'000;
  using Micros = std::chrono::duration<double, std::micro>;
  for (const auto policy_kind : {PolicyKind::random, PolicyKind::sequential, PolicyKind::hill_climb,
                                 PolicyKind::islands, PolicyKind::pareto, PolicyKind::clade}) {
    Settings settings = settings_of(policy_kind);
    settings.objectives.push_back({"size", Goal::minimize, std::nullopt});
    settings.islands = 16;
    settings.island_size = policy_kind == PolicyKind::pareto ? 1'000 : 100'000;
    settings.features = {{"source_tokens", 64, 0, 1000, false},
                         {"size", 64, 0, 1, false},
                         {"accuracy", 64, 0, 1, false}};
    const auto policy = make_policy(settings);
    Rng rng(1);
    const auto begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < kVariants; ++i) {
      const std::map<std::string, double> metrics = {{"accuracy", rng.uniform()},
                                                     {"size", rng.uniform()}};
      std::vector<VariantNumber> parents;
      if (i > 0) {
        const auto choice = policy->choose({.proposal = {i}, .inspirations = 0}, rng.split("p"));
        parents.push_back(choice.parents.front().scored.variant);
      }
      policy->add({.scored = {VariantNumber{i}, metrics.at("accuracy")},
                   .generation = 1,
                   .island = i == 0 ? std::nullopt : std::optional(static_cast<int>(i % 16)),
                   .source_tokens = rng.between(1, 1000),
                   .metrics = metrics,
                   .parents = parents});
    }
    const auto added = std::chrono::steady_clock::now();
    double slowest = 0;
    for (std::int64_t i = 1; i <= kChoices; ++i) {
      const auto one = std::chrono::steady_clock::now();
      const auto choice = policy->choose({.proposal = {i}, .parents = 2, .inspirations = 4},
                                         rng.split(static_cast<std::uint64_t>(i)));
      slowest = std::max(slowest, Micros(std::chrono::steady_clock::now() - one).count());
      REQUIRE_FALSE(choice.parents.empty());
    }
    const auto chosen = std::chrono::steady_clock::now();
    std::printf("policy=%d add_us=%.2f choose_us=%.2f slowest_us=%.1f\n",
                static_cast<int>(policy_kind), Micros(added - begin).count() / kVariants,
                Micros(chosen - added).count() / kChoices, slowest);
    CHECK(Micros(chosen - added).count() / kChoices < 1'000);
  }
}

}  // namespace
}  // namespace cambrian::search
