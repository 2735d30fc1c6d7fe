#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <limits>
#include <set>

#include "coordinator/search/clade_policy.hpp"
#include "coordinator/search/policy.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

// The policies sequential, pareto and clade by hand, and against plain recomputation over random
// histories.

namespace cambrian::search {
namespace {

using Numbers = std::vector<std::int64_t>;
using Metrics = std::map<std::string, double>;

Evaluated evaluated(std::int64_t number, double score, const Metrics& metrics,
                    std::span<const VariantNumber> parents = {}, double violation = 0) {
  return {.scored = {VariantNumber{number}, score, violation},
          .generation = number == 0 ? 0 : 1,
          .island = std::nullopt,
          .source_tokens = 10,
          .metrics = metrics,
          .parents = parents};
}

Numbers numbers_of(const Policy& policy) {
  Numbers numbers;
  const auto lists = policy.members();
  for (const Member& member : lists.at(0)) numbers.push_back(member.scored.variant.value);
  return numbers;
}

Choice choose(const Policy& policy, std::int64_t proposal, std::size_t parents = 1,
              std::size_t inspirations = 0) {
  return policy.choose({.proposal = {proposal}, .parents = parents, .inspirations = inspirations},
                       Rng(23).split(static_cast<std::uint64_t>(proposal)));
}

std::set<std::int64_t> named_by(const Choice& choice) {
  std::set<std::int64_t> named;
  for (const Member& parent : choice.parents) named.insert(parent.scored.variant.value);
  for (const VariantNumber inspiration : choice.inspirations) named.insert(inspiration.value);
  return named;
}

std::uint64_t test_seed() {
  const char* text = std::getenv("CAMBRIAN_TEST_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

// ---- Sequential. ----

TEST_CASE("SequentialPolicy: conditions on three of the last generation, whatever their score",
          "[unit][search]") {
  Settings settings = settings_of(PolicyKind::sequential);
  settings.children = 5;
  settings.generations = 3;
  const auto policy = make_policy(settings);
  const Metrics none;
  policy->add(evaluated(0, 0.9, none));
  CHECK(named_by(choose(*policy, 1, 1, 2)) == std::set<std::int64_t>{0});
  for (std::int64_t i = 1; i <= 4; ++i) policy->add(evaluated(i, 0.1, none));
  CHECK(policy->room(0) == 1);
  CHECK(policy->room(1) == 0);
  CHECK(numbers_of(*policy) == Numbers{0});
  policy->add_failure({});  // The fifth child: failed ones count, and are forgotten.
  CHECK(policy->room(0) == 5);
  CHECK(numbers_of(*policy) == Numbers{1, 2, 3, 4});
  std::set<std::int64_t> parents;
  for (std::int64_t proposal = 1; proposal <= 100; ++proposal) {
    const Choice choice = choose(*policy, proposal, 1, 2);
    CHECK(named_by(choice).size() == 3);
    CHECK_FALSE(named_by(choice).contains(0));  // Better, but of another generation.
    CHECK_FALSE(choice.shows_failures);
    parents.insert(choice.parents[0].scored.variant.value);
  }
  CHECK(parents == std::set<std::int64_t>{1, 2, 3, 4});
}

TEST_CASE("SequentialPolicy: repeats a generation that failed, begins a new chain at the end",
          "[unit][search]") {
  Settings settings = settings_of(PolicyKind::sequential);
  settings.children = 2;
  settings.generations = 2;
  const auto policy = make_policy(settings);
  const Metrics none;
  policy->add(evaluated(0, 0.5, none));
  policy->add(evaluated(1, 0.6, none));
  policy->add(evaluated(2, 0.7, none));
  CHECK(numbers_of(*policy) == Numbers{2, 1});
  policy->add_failure({});
  policy->add_failure({});
  CHECK(numbers_of(*policy) == Numbers{2, 1});
  CHECK(policy->room(0) == 2);
  policy->add(evaluated(3, 0.1, none));
  policy->add_failure({});
  CHECK(numbers_of(*policy) == Numbers{0});  // Two generations: the chain is over.
}

// ---- Pareto. ----

Settings pareto_settings(int size) {
  Settings settings = settings_of(PolicyKind::pareto);
  settings.objectives = {{"accuracy", Goal::maximize, std::nullopt},
                         {"parameters", Goal::minimize, std::nullopt}};
  settings.island_size = size;
  return settings;
}

TEST_CASE("ParetoPolicy: sorts into fronts, the ends of a front first", "[unit][search]") {
  const auto policy = make_policy(pareto_settings(10));
  const auto add = [&](std::int64_t number, double accuracy, double parameters) {
    const Metrics metrics = {{"accuracy", accuracy}, {"parameters", parameters}};
    policy->add(evaluated(number, accuracy, metrics));
  };
  add(0, 0.5, 50);
  add(1, 0.9, 90);
  add(2, 0.6, 60);
  add(3, 0.4, 55);  // Dominated by 0 alone.
  add(4, 0.3, 58);  // Dominated by 3 too.
  CHECK(numbers_of(*policy) == Numbers{1, 0, 2, 3, 4});
  const auto members = policy->members().at(0);
  CHECK(members[2].cell == 0);
  CHECK(members[3].cell == 1);
  CHECK(members[4].cell == 2);
  add(5, 0.95, 40);  // Dominates everything: all sink.
  CHECK(numbers_of(*policy).front() == 5);
  CHECK(policy->members().at(0)[1].cell == 1);
  add(6, 0.95, 40);  // Equals it.
  CHECK(numbers_of(*policy).size() == 6);
}

TEST_CASE("ParetoPolicy: a missing metric is worse than any, a constraint before all",
          "[unit][search]") {
  const auto policy = make_policy(pareto_settings(10));
  const Metrics complete = {{"parameters", 1e12}};
  const Metrics missing;
  policy->add(evaluated(0, 0.5, complete));
  policy->add(evaluated(1, 0.5, missing));
  CHECK(numbers_of(*policy) == Numbers{0, 1});
  CHECK(policy->members().at(0)[1].cell == 1);
  policy->add(evaluated(2, 0.99, complete, {}, 0.5));
  CHECK(numbers_of(*policy) == Numbers{0, 1, 2});
  CHECK(policy->members().at(0)[2].cell == 2);
}

bool dominates(const Metrics& a, const Metrics& b) {
  const bool is_worse =
      a.at("accuracy") < b.at("accuracy") || a.at("parameters") > b.at("parameters");
  return !is_worse && a != b;
}

/// The fronts by the definition: peel off what nothing left dominates.
std::map<std::int64_t, std::int64_t> peel(std::map<std::int64_t, Metrics> left) {
  std::map<std::int64_t, std::int64_t> front_of;
  for (std::int64_t front = 0; !left.empty(); ++front) {
    Numbers free;
    for (const auto& [number, metrics] : left) {
      const bool is_free = std::ranges::none_of(
          left, [&](const auto& other) { return dominates(other.second, metrics); });
      if (is_free) free.push_back(number);
    }
    for (const std::int64_t number : free) {
      front_of[number] = front;
      left.erase(number);
    }
  }
  return front_of;
}

TEST_CASE("ParetoPolicy: its fronts are those of the definition, and it keeps the best",
          "[unit][search]") {
  const std::uint64_t seed = test_seed();
  INFO("CAMBRIAN_TEST_SEED=" << seed);
  for (std::uint64_t history = 0; history < 60; ++history) {
    Rng rng = Rng(seed).split(history);
    const int size = static_cast<int>(rng.between(1, 12));
    const auto policy = make_policy(pareto_settings(size));
    std::map<std::int64_t, Metrics> all;
    double best = 0;
    for (std::int64_t number = 0; number < 60; ++number) {
      // Coarse values, so that ties and equals are common.
      const Metrics metrics = {{"accuracy", static_cast<double>(rng.between(1, 12))},
                               {"parameters", static_cast<double>(rng.between(1, 12))}};
      all[number] = metrics;
      best = std::max(best, metrics.at("accuracy"));
      policy->add(evaluated(number, metrics.at("accuracy"), metrics));
      std::map<std::int64_t, Metrics> kept;
      const auto members = policy->members().at(0);
      for (const Member& member : members) {
        kept[member.scored.variant.value] = all.at(member.scored.variant.value);
      }
      const auto front_of = peel(kept);
      bool has_best = false;
      for (const Member& member : members) {
        REQUIRE(member.cell == front_of.at(member.scored.variant.value));
        has_best = has_best || member.scored.score == best;
      }
      REQUIRE(has_best);
      REQUIRE(kept.size() == members.size());
      REQUIRE(members.size() <= static_cast<std::size_t>(size));
      REQUIRE(std::ranges::is_sorted(members, {}, &Member::cell));
      const Choice choice = choose(*policy, number, 2, 3);
      const std::size_t expected = std::min<std::size_t>(5, members.size());
      REQUIRE(named_by(choice).size() == expected);
    }
  }
}

// ---- Clade. ----

TEST_CASE("CladePolicy: prefers the variant from which good ones came", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::clade);
  settings.exploitation = 1;
  const auto policy = make_policy(settings);
  const Metrics none;
  policy->add(evaluated(0, 0.1, none));
  const std::vector<VariantNumber> seed = {{0}};
  const std::vector<VariantNumber> fertile = {{1}};
  const std::vector<VariantNumber> barren = {{2}};
  policy->add(evaluated(1, 0.5, none, seed));
  policy->add(evaluated(2, 0.5, none, seed));
  // The same score and the same number of children; those of the first are ever better.
  for (std::int64_t i = 0; i < 20; ++i) {
    policy->add(evaluated(3 + i, 0.6 + 0.01 * static_cast<double>(i), none, fertile));
    policy->add_failure(barren);
  }
  int fertile_draws = 0;
  int barren_draws = 0;
  for (std::int64_t proposal = 0; proposal < 20'000; ++proposal) {
    const auto drawn = choose(*policy, proposal).parents[0].scored.variant.value;
    fertile_draws += drawn == 1 ? 1 : 0;
    barren_draws += drawn == 2 ? 1 : 0;
  }
  CHECK(fertile_draws > 20);
  CHECK(fertile_draws > 10 * barren_draws);
}

TEST_CASE("CladePolicy: what was tried often and in vain is tried less", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::clade);
  settings.exploitation = 1;
  const auto policy = make_policy(settings);
  const Metrics none;
  const std::vector<VariantNumber> seed = {{0}};
  const std::vector<VariantNumber> first = {{1}};
  policy->add(evaluated(0, 0.1, none));
  policy->add(evaluated(1, 0.9, none, seed));
  policy->add(evaluated(2, 0.91, none, seed));
  for (int i = 0; i < 30; ++i) policy->add_failure(first);
  int tired = 0;
  constexpr int kDraws = 2000;
  for (std::int64_t proposal = 0; proposal < kDraws; ++proposal) {
    if (choose(*policy, proposal).parents[0].scored.variant == VariantNumber{1}) ++tired;
  }
  CHECK(tired < kDraws / 50);
}

TEST_CASE("CladePolicy: draws in proportion to what its rule gives", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::clade);
  settings.exploitation = 1;
  const auto policy = make_policy(settings);
  const Metrics none;
  const std::vector<VariantNumber> seed = {{0}};
  policy->add(evaluated(0, 0.5, none));        // A success: the best of one.
  policy->add(evaluated(1, 0.4, none, seed));  // None.
  policy->add(evaluated(2, 0.9, none, seed));  // A success.
  const double ratio = CladePolicy::kSuccessRatio;
  const double prior = CladePolicy::kPriorTrials;
  const double discount = CladePolicy::kDiscount;
  const auto weight = [&](double successes, double trials, double children) {
    const double worth = (successes + prior * ratio) / (trials + prior);
    double power = 1;
    for (int i = 0; i < CladePolicy::kPressure; ++i) power *= worth;
    return power / (1 + children);
  };
  const std::vector<double> weights = {weight(1 + discount, 1 + 2 * discount, 2), weight(0, 1, 0),
                                       weight(1, 1, 0)};
  const double sum = weights[0] + weights[1] + weights[2];
  std::vector<int> counts(3);
  constexpr int kDraws = 40'000;
  for (std::int64_t proposal = 0; proposal < kDraws; ++proposal) {
    ++counts[static_cast<std::size_t>(choose(*policy, proposal).parents[0].scored.variant.value)];
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const double expected = weights[i] / sum;
    const double share = counts[i] / static_cast<double>(kDraws);
    INFO("variant " << i << " expected " << expected << " drawn " << share);
    CHECK(std::abs(share - expected) < 0.01);
  }
}

TEST_CASE("CladePolicy: loses no variant, and names the best first", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::clade);
  settings.exploitation = 0.5;
  const auto policy = make_policy(settings);
  Rng rng(4);
  const Metrics none;
  std::set<std::int64_t> drawn;
  std::vector<std::pair<double, std::int64_t>> scores;
  for (std::int64_t number = 0; number < 300; ++number) {
    std::vector<VariantNumber> parents;
    if (number > 0) parents.push_back(choose(*policy, number).parents[0].scored.variant);
    scores.emplace_back(-rng.uniform(), number);
    policy->add(evaluated(number, -scores.back().first, none, parents));
    const Choice choice = choose(*policy, number, 2, 4);
    REQUIRE(named_by(choice).size() == std::min<std::size_t>(6, scores.size()));
    drawn.insert(choice.parents[0].scored.variant.value);
  }
  std::ranges::sort(scores);
  const Numbers members = numbers_of(*policy);
  REQUIRE(members.size() == scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) CHECK(members[i] == scores[i].second);
  CHECK(drawn.size() > 100);
}

// ---- Constraints. ----

TEST_CASE("violation_of: sums what exceeds the bounds", "[unit][search]") {
  const std::vector<Constraint> constraints = {{"parameters", std::nullopt, 1000.0},
                                               {"source_tokens", 10.0, 50.0}};
  const auto violation = [&](double parameters, std::int64_t tokens) {
    return violation_of(constraints, tokens, {{"parameters", parameters}});
  };
  CHECK(violation(1000, 10) == 0);
  CHECK(violation(1500, 50) == 0.5);
  CHECK(violation(1500, 5) == 1);
  CHECK(violation_of(constraints, 20, {}) == std::numeric_limits<double>::infinity());
  CHECK(violation_of({}, 20, {}) == 0);
}

TEST_CASE("Search: a variant that breaks a constraint never becomes the best nor ends the search",
          "[unit][search]") {
  Settings settings = settings_of(PolicyKind::random);
  settings.objectives[0].target = 0.95;
  settings.constraints = {{"size", std::nullopt, 1.0}};
  Driver driver(settings);
  driver.start();
  const auto finish = [&](double accuracy, double size) {
    EvaluationFinished event;
    event.evaluation = EvaluationNumber{driver.first_open_evaluation()};
    event.metrics = {{"accuracy", accuracy}, {"size", size}};
    driver.send(event);
  };
  finish(0.9, 2);  // The seed breaks it: still the best there is.
  CHECK(driver.search.best()->variant == VariantNumber{0});
  driver.answer(driver.first_open_proposal(), {"a"});
  finish(0.2, 1);
  CHECK(driver.search.best()->variant == VariantNumber{1});
  driver.answer(driver.first_open_proposal(), {"b"});
  finish(0.99, 1.01);
  CHECK(driver.search.best()->variant == VariantNumber{1});
  CHECK(driver.search.phase() == Phase::running);
  driver.answer(driver.first_open_proposal(), {"c"});
  finish(0.96, 0.5);
  CHECK(driver.search.end_reason() == EndReason::target);
}

}  // namespace
}  // namespace cambrian::search
