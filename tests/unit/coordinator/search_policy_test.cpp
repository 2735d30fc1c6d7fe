#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <set>

#include "coordinator/search/islands_policy.hpp"
#include "coordinator/search/policy.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

/// A policy that is fed by hand. Cells are tens of source tokens.
class Fed {
 public:
  explicit Fed(const Settings& settings) : policy(make_policy(settings)) { add(0, 0.5, {}, 5); }

  void add(std::int64_t number, double score, std::optional<int> island, std::int64_t source_tokens,
           std::span<const VariantNumber> parents = {}) {
    policy->add({.scored = {VariantNumber{number}, score},
                 .generation = number == 0 ? 0 : 1,
                 .island = island,
                 .source_tokens = source_tokens,
                 .metrics = metrics_,
                 .parents = parents});
  }

  std::vector<std::int64_t> numbers(std::size_t island = 0) const {
    std::vector<std::int64_t> found;
    const auto members = policy->members();
    for (const Member& member : members.at(island)) found.push_back(member.scored.variant.value);
    return found;
  }

  Choice choose(std::int64_t proposal, std::size_t parents = 1,
                std::size_t inspirations = 0) const {
    return policy->choose(
        {.proposal = {proposal}, .parents = parents, .inspirations = inspirations},
        Rng(17).split(static_cast<std::uint64_t>(proposal)));
  }

  std::unique_ptr<Policy> policy;

 private:
  std::map<std::string, double> metrics_;
};

using Numbers = std::vector<std::int64_t>;

TEST_CASE("cell_of: bins linearly, logarithmically and by source tokens", "[unit][search]") {
  std::map<std::string, double> metrics = {{"size", 0.5}, {"parameters", 1000}};
  const Evaluated variant{{}, 0, {}, 35, metrics};
  CHECK(cell_of({{"size", 4, 0, 1, false}}, variant) == 2);
  CHECK(cell_of({{"source_tokens", 8, 0, 80, false}}, variant) == 3);
  CHECK(cell_of({{"parameters", 6, 1, 1e6, true}}, variant) == 3);
  CHECK(cell_of({{"size", 4, 0, 1, false}, {"source_tokens", 8, 0, 80, false}}, variant) == 19);
}

TEST_CASE("cell_of: puts what lies outside or is missing into the outer bins", "[unit][search]") {
  std::map<std::string, double> metrics = {{"low", -5}, {"high", 1e9}};
  const Evaluated variant{{}, 0, {}, 0, metrics};
  CHECK(cell_of({{"low", 4, 0.1, 1, true}}, variant) == 0);
  CHECK(cell_of({{"high", 4, 0, 1, false}}, variant) == 3);
  CHECK(cell_of({{"missing", 4, 0, 1, false}}, variant) == 0);
}

TEST_CASE("RandomPolicy: samples independently of what came before", "[unit][search]") {
  Fed fed(settings_of(PolicyKind::random));
  fed.add(1, 0.9, {}, 5);
  const Choice choice = fed.choose(1, 2, 3);
  REQUIRE(choice.parents.size() == 1);
  CHECK(choice.parents[0].scored.variant == VariantNumber{0});
  CHECK(choice.inspirations.empty());
  CHECK_FALSE(choice.shows_failures);
}

TEST_CASE("HillClimbPolicy: moves on when all children of a generation are settled",
          "[unit][search]") {
  Settings settings = settings_of(PolicyKind::hill_climb);
  settings.children = 3;
  Fed fed(settings);
  CHECK(fed.policy->room(0) == 3);
  fed.add(1, 0.9, {}, 5);
  fed.policy->add_failure({});
  CHECK(fed.policy->room(0) == 1);
  CHECK(fed.policy->room(1) == 0);
  CHECK(fed.choose(1).parents[0].scored.variant == VariantNumber{0});
  fed.add(2, 0.7, {}, 5);
  CHECK(fed.policy->room(0) == 3);
  CHECK(fed.choose(2).parents[0].scored.variant == VariantNumber{1});
  CHECK(fed.choose(2, 1, 2).inspirations == std::vector<VariantNumber>{{2}, {0}});
}

TEST_CASE("HillClimbPolicy: keeps the incumbent when no child is better", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::hill_climb);
  settings.children = 2;
  Fed fed(settings);
  fed.add(1, 0.5, {}, 5);  // As good is not better.
  fed.add(2, 0.4, {}, 5);
  CHECK(fed.choose(1).parents[0].scored.variant == VariantNumber{0});
  const Choice crossover = fed.choose(1, 2);
  REQUIRE(crossover.parents.size() == 2);
  CHECK(crossover.parents[1].scored.variant != VariantNumber{0});
}

TEST_CASE("IslandsPolicy: keeps the best of each cell, ties to the older", "[unit][search]") {
  Fed fed(settings_of(PolicyKind::islands));
  CHECK(fed.numbers(0) == Numbers{0});
  CHECK(fed.numbers(1) == Numbers{0});
  fed.add(1, 0.5, 0, 5);
  CHECK(fed.numbers(0) == Numbers{0});
  fed.add(2, 0.6, 0, 6);
  fed.add(3, 0.4, 0, 15);
  CHECK(fed.numbers(0) == Numbers{2, 3});
  CHECK(fed.numbers(1) == Numbers{0});
}

TEST_CASE("IslandsPolicy: a full island loses its worst elite, never its best", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.island_size = 2;
  Fed fed(settings);
  fed.add(1, 0.9, 0, 15);
  fed.add(2, 0.7, 0, 25);
  CHECK(fed.numbers(0) == Numbers{1, 2});
  fed.add(3, 0.1, 0, 35);
  CHECK(fed.numbers(0) == Numbers{1, 2});
}

TEST_CASE("IslandsPolicy: minimises where the goal says so", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.objectives[0].goal = Goal::minimize;
  Fed fed(settings);
  fed.add(1, 0.6, 0, 5);
  CHECK(fed.numbers(0) == Numbers{0});
  fed.add(2, 0.4, 0, 5);
  CHECK(fed.numbers(0) == Numbers{2});
}

TEST_CASE("IslandsPolicy: migrants go one island further, stay at home and are not doubled",
          "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 3;
  settings.migration_interval = 10;
  settings.migration_fraction = 0.5;
  Fed fed(settings);
  fed.add(1, 0.9, 0, 15);
  fed.add(2, 0.8, 0, 25);
  fed.policy->count_evaluations(9);
  CHECK(fed.numbers(1) == Numbers{0});
  fed.policy->count_evaluations(10);
  CHECK(fed.numbers(0) == Numbers{1, 2, 0});
  CHECK(fed.numbers(1) == Numbers{1, 2, 0});
  CHECK(fed.numbers(2) == Numbers{0});  // Two islands away: not in one migration.
  fed.policy->count_evaluations(20);
  CHECK(fed.numbers(1) == Numbers{1, 2, 0});
  CHECK(fed.numbers(2) == Numbers{1, 2, 0});
}

TEST_CASE("IslandsPolicy: a migrant does not push out a better elite of its cell",
          "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.migration_interval = 1;
  settings.migration_fraction = 1;
  Fed fed(settings);
  fed.add(1, 0.8, 0, 15);
  fed.add(2, 0.9, 1, 15);
  fed.policy->count_evaluations(1);
  CHECK(fed.numbers(0) == Numbers{2, 0});
  CHECK(fed.numbers(1) == Numbers{2, 0});
}

TEST_CASE("IslandsPolicy: the worse half begins anew with the best of the better half",
          "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 5;
  settings.migration_interval = 1000;
  settings.reset_interval = 10;
  Fed fed(settings);
  for (const auto& [island, score] : {std::pair{0, 0.7}, {1, 0.9}, {2, 0.6}, {3, 0.8}, {4, 0.75}}) {
    fed.add(island + 1, score, island, 15);
  }
  fed.policy->count_evaluations(9);
  CHECK(fed.numbers(2) == Numbers{3, 0});
  fed.policy->count_evaluations(10);
  CHECK(fed.numbers(1) == Numbers{2, 0});
  CHECK(fed.numbers(3) == Numbers{4, 0});
  CHECK(fed.numbers(4) == Numbers{5, 0});  // The middle one of five lives on.
  CHECK(fed.numbers(0) == Numbers{4});     // The second worst from the second best.
  CHECK(fed.numbers(2) == Numbers{2});     // The worst from the best.
  fed.policy->count_evaluations(20);
  CHECK(fed.numbers(3) == Numbers{2});
  CHECK(fed.numbers(4) == Numbers{2});
  // Of islands with the same best, as migration leaves them, the last ones count as the worse.
  fed.add(6, 0.5, 4, 25);
  fed.add(7, 0.5, 3, 25);
  fed.policy->count_evaluations(30);
  CHECK(fed.numbers(0) == Numbers{2});
  CHECK(fed.numbers(3) == Numbers{2, 7});
  CHECK(fed.numbers(4) == Numbers{2});
}

TEST_CASE("IslandsPolicy: a reset acts behind a migration, too", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 2;
  settings.migration_interval = 10;
  settings.reset_interval = 20;
  Fed fed(settings);
  fed.add(1, 0.9, 0, 15);
  fed.add(2, 0.5, 1, 25);
  fed.policy->count_evaluations(20);
  CHECK(fed.numbers(1) == Numbers{1});
}

TEST_CASE("IslandsPolicy: a single island is never emptied", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 1;
  settings.reset_interval = 1;
  Fed fed(settings);
  fed.add(1, 0.9, 0, 15);
  fed.policy->count_evaluations(1);
  CHECK(fed.numbers(0) == Numbers{1, 0});
}

TEST_CASE("IslandsPolicy: visits every island and takes parents and inspirations from it alone",
          "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.exploitation = 0.5;
  Fed fed(settings);
  for (std::int64_t i = 1; i < 8; ++i) {
    const int island = static_cast<int>(i % 2);
    fed.add(i, 0.5 + 0.01 * static_cast<double>(i), island, 10 * i);
  }
  for (std::int64_t proposal = 1; proposal <= 100; ++proposal) {
    const Choice choice = fed.choose(proposal, 2, 2);
    CHECK(choice.island == proposal % 2);
    const Numbers there = fed.numbers(static_cast<std::size_t>(proposal % 2));
    std::set<std::int64_t> named;
    for (const Member& parent : choice.parents) named.insert(parent.scored.variant.value);
    for (const VariantNumber inspiration : choice.inspirations) named.insert(inspiration.value);
    CHECK(named.size() == 4);
    for (const std::int64_t number : named) CHECK(std::ranges::count(there, number) == 1);
  }
}

TEST_CASE("IslandsPolicy: exploitation draws by rank, exploration evenly", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 1;
  settings.features = {{"source_tokens", 10, 0, 100, false}};
  constexpr int kDraws = 10'000;
  const auto share_of_best = [&](double exploitation) {
    settings.exploitation = exploitation;
    Fed fed(settings);
    for (std::int64_t i = 1; i < 10; ++i)
      fed.add(i, 0.5 + 0.01 * static_cast<double>(i), 0, 10 * i);
    int best = 0;
    for (int i = 0; i < kDraws; ++i) {
      if (fed.choose(i).parents[0].scored.variant == VariantNumber{9}) ++best;
    }
    return static_cast<double>(best) / kDraws;
  };
  // The best of ten by rank: the cube root of 0.1.
  CHECK(share_of_best(1) > 0.44);
  CHECK(share_of_best(1) < 0.49);
  CHECK(share_of_best(0) > 0.08);
  CHECK(share_of_best(0) < 0.12);
}

TEST_CASE("IslandsPolicy: a tournament draws the best of four", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 1;
  settings.features = {{"source_tokens", 10, 0, 100, false}};
  settings.exploitation = 1;
  settings.selection = Selection::tournament;
  Fed fed(settings);
  for (std::int64_t i = 1; i < 10; ++i) fed.add(i, 0.5 + 0.01 * static_cast<double>(i), 0, 10 * i);
  constexpr int kDraws = 10'000;
  std::map<std::int64_t, int> draws;
  for (int i = 0; i < kDraws; ++i) ++draws[fed.choose(i).parents[0].scored.variant.value];
  // The best of ten is among four: 1 - 0.9^4 = 0.344. The worst only where all four are it.
  CHECK(std::abs(draws[9] - 3439) < 200);
  CHECK(std::abs(draws[8] - 2465) < 200);
  CHECK(draws[0] < 10);
}

TEST_CASE("IslandsPolicy: what has few children is chosen more often", "[unit][search]") {
  const auto selection = GENERATE(Selection::novelty, Selection::upper_bound);
  CAPTURE(selection);
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 1;
  settings.features = {{"source_tokens", 10, 0, 100, false}};
  settings.exploitation = 1;
  settings.selection = selection;
  Fed fed(settings);
  for (std::int64_t i = 1; i < 10; ++i) fed.add(i, 0.5 + 0.01 * static_cast<double>(i), 0, 10 * i);
  constexpr int kDraws = 2000;
  const auto draws = [&] {
    std::map<std::int64_t, int> found;
    for (int i = 0; i < kDraws; ++i) ++found[fed.choose(i).parents[0].scored.variant.value];
    return found;
  };
  auto before = draws();
  CHECK(before[9] > kDraws / 10);
  CHECK(before[9] > 5 * before[3]);
  // The best has had many children in vain: others have their turn, the best of them first.
  const std::vector<VariantNumber> best = {{9}};
  for (int i = 0; i < 100; ++i) fed.policy->add_failure(best);
  // Worse ones of its own cell: they count, and nothing else.
  for (std::int64_t i = 0; i < 100; ++i) fed.add(100 + i, 0.1, 0, 90, best);
  auto after = draws();
  CHECK(after[9] < before[9] / 4);
  CHECK(after[8] > after[9]);
  CHECK(after[8] >= after[5]);
  Fed failed(settings);
  for (std::int64_t i = 1; i < 10; ++i) {
    failed.add(i, 0.5 + 0.01 * static_cast<double>(i), 0, 10 * i);
  }
  for (int i = 0; i < 200; ++i) failed.policy->add_failure(best);
  for (int i = 0; i < 100; ++i) {
    CHECK(failed.choose(i).parents[0].scored.variant == fed.choose(i).parents[0].scored.variant);
  }
}

TEST_CASE("IslandsPolicy: climbs the more, the more of the budget is used", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 1;
  settings.features = {{"source_tokens", 10, 0, 100, false}};
  settings.exploitation = 0;
  constexpr int kDraws = 10'000;
  const auto share_of_best = [&](double climb_from, double budget_used) {
    settings.climb_from = climb_from;
    Fed fed(settings);
    for (std::int64_t i = 1; i < 10; ++i)
      fed.add(i, 0.5 + 0.01 * static_cast<double>(i), 0, 10 * i);
    int best = 0;
    for (int i = 0; i < kDraws; ++i) {
      const Choice choice = fed.policy->choose({.proposal = {i}, .budget_used = budget_used},
                                               Rng(17).split(static_cast<std::uint64_t>(i)));
      if (choice.parents[0].scored.variant == VariantNumber{9}) ++best;
    }
    return static_cast<double>(best) / kDraws;
  };
  CHECK(share_of_best(0.5, 0) < 0.12);
  CHECK(share_of_best(0.5, 0.25) > 0.53);  // Half of all draws, and a tenth of the others.
  CHECK(share_of_best(0.5, 0.25) < 0.57);
  CHECK(share_of_best(0.5, 0.5) == 1);
  CHECK(share_of_best(0, 1) < 0.12);
}

TEST_CASE("pick_inspirations: takes the best first, then others, never a parent",
          "[unit][search]") {
  std::vector<Member> ranked;
  for (std::int64_t i = 0; i < 6; ++i) ranked.push_back({{{i}, 0}, 0, i});
  Rng rng(3);
  const std::vector<Member> parents = {ranked[0]};
  const auto picked = pick_inspirations(ranked, parents, 3, rng);
  REQUIRE(picked.size() == 3);
  CHECK(picked[0] == VariantNumber{1});
  CHECK(picked[1] == VariantNumber{2});
  CHECK(picked[2].value >= 3);
  CHECK(pick_inspirations(ranked, parents, 8, rng).size() == 5);
  CHECK(pick_inspirations(std::vector<Member>{ranked[0]}, parents, 2, rng).empty());
}

}  // namespace
}  // namespace cambrian::search
