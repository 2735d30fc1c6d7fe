#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <set>

#include "coordinator/search/tuner.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

Settings tuning_settings() {
  Settings settings = settings_of(PolicyKind::islands);
  settings.islands = 1;
  settings.operators = {{Operator::diff, 1e-9}, {Operator::tune, 1}};
  settings.budget.evaluations = 60;
  return settings;
}

Member seed_member(double score = 0) { return {{VariantNumber{0}, score}, 0, 0}; }

const std::vector<Constant> kTwo = {{0.5, 0.125, 2, true}, {0, -1, 1, false}};

}  // namespace

TEST_CASE("Tuner: gives a generation of points within the bounds, then waits", "[unit][search]") {
  Tuner tuner(tuning_settings());
  tuner.begin(seed_member(), 3);
  CHECK(tuner.is_running());
  CHECK_FALSE(tuner.draw());  // The constants are not known yet.
  tuner.take(VariantNumber{9}, kTwo, Rng(1));
  CHECK_FALSE(tuner.draw());  // Another variant's.
  tuner.take(VariantNumber{0}, kTwo, Rng(1));
  std::vector<Tuner::Draft> drafts;
  while (auto draft = tuner.draw()) drafts.push_back(*draft);
  REQUIRE(drafts.size() == 6);  // 4 + 3 ln 2
  for (const auto& draft : drafts) {
    CHECK(draft.island == 3);
    REQUIRE(draft.values.size() == 2);
    CHECK(draft.values[0] >= 0.125);
    CHECK(draft.values[0] <= 2);
    CHECK(std::abs(draft.values[1]) <= 1);
  }
  for (std::size_t i = 0; i + 1 < drafts.size(); ++i) tuner.tell(drafts[i].sample, std::nullopt);
  CHECK_FALSE(tuner.draw());
  tuner.tell(drafts.back().sample, Scored{VariantNumber{6}, 1});
  CHECK(tuner.draw());
}

TEST_CASE("Tuner: the order in which results arrive makes no difference", "[unit][search]") {
  Tuner forwards(tuning_settings());
  Tuner backwards(tuning_settings());
  for (Tuner* tuner : {&forwards, &backwards}) {
    tuner->begin(seed_member(), {});
    tuner->take(VariantNumber{0}, kTwo, Rng(1));
  }
  for (int generation = 0; generation < 3; ++generation) {
    std::vector<Tuner::Draft> drafts;
    while (auto draft = forwards.draw()) {
      drafts.push_back(*draft);
      REQUIRE(backwards.draw()->values == draft->values);
    }
    const auto tell = [](Tuner& tuner, const Tuner::Draft& draft) {
      const std::int64_t number = 1 + static_cast<std::int64_t>(draft.sample.place);
      tuner.tell(draft.sample, Scored{VariantNumber{number}, draft.values[0] - draft.values[1]});
    };
    for (const auto& draft : drafts) tell(forwards, draft);
    std::ranges::reverse(drafts);
    for (const auto& draft : drafts) tell(backwards, draft);
  }
}

TEST_CASE("Tuner: a run is bounded and finds what is there to find", "[unit][search]") {
  Settings settings = tuning_settings();
  settings.tune_evaluations = 1000;
  Tuner tuner(settings);
  tuner.begin(seed_member(-10), {});
  tuner.take(VariantNumber{0}, kTwo, Rng(2));
  int evaluations = 0;
  double best = -10;
  while (tuner.is_running()) {
    const auto draft = tuner.draw();
    REQUIRE(draft);
    ++evaluations;
    const double a = std::log(draft->values[0] / 1.2);
    const double score = -(a * a) - std::pow(draft->values[1] - 0.4, 2);
    best = std::max(best, score);
    tuner.tell(draft->sample, Scored{VariantNumber{evaluations}, score});
  }
  // Ten for each constant, up to the end of that generation.
  CHECK(evaluations >= 2 * Tuner::kEvaluationsEach);
  CHECK(evaluations < 2 * Tuner::kEvaluationsEach + 6);
  CHECK(best > -0.3);  // It began at -0.93.
}

TEST_CASE("Tuner: what brings nothing better ends early", "[unit][search]") {
  Settings settings = tuning_settings();
  settings.tune_evaluations = 1000;
  Tuner tuner(settings);
  tuner.begin(seed_member(5), {});
  tuner.take(VariantNumber{0}, std::vector<Constant>(10, kTwo[0]), Rng(2));
  int evaluations = 0;
  while (auto draft = tuner.draw()) {
    ++evaluations;
    tuner.tell(draft->sample, std::nullopt);
  }
  CHECK_FALSE(tuner.is_running());
  CHECK(evaluations == 3 * 10);  // Three generations of 4 + 3 ln 10.
  CHECK_FALSE(tuner.is_new(VariantNumber{0}));
}

TEST_CASE("Tuner: no constants, or impossible ones, end a run", "[unit][search]") {
  const std::vector<std::vector<Constant>> cases = {
      {},
      {{0.5, 1, 1, false}},
      {{0.5, -1, 1, true}},
      {{2, 0, 1, false}},
      {{std::nan(""), 0, 1, false}},
      std::vector<Constant>(Cmaes::kDimensionMax + 1, kTwo[0])};
  for (const auto& constants : cases) {
    Tuner tuner(tuning_settings());
    tuner.begin(seed_member(), {});
    tuner.take(VariantNumber{0}, constants, Rng(1));
    CHECK_FALSE(tuner.is_running());
  }
}

TEST_CASE("Search: tune asks for constants, then for the parent with others", "[unit][search]") {
  Driver driver(tuning_settings());
  driver.start_with_seed(0.5);
  const auto asked = driver.every<FindConstants>();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].variant == VariantNumber{0});
  CHECK(driver.last_proposal().operation == Operator::diff);  // Until they come.
  driver.send(ConstantsFound{VariantNumber{0}, kTwo});
  driver.make_variant(0.4);
  const auto tuned = driver.last_proposal();
  CHECK(tuned.operation == Operator::tune);
  CHECK(tuned.parents == std::vector{VariantNumber{0}});
  CHECK(tuned.constants.size() == 2);
  CHECK(tuned.variants == 1);
  CHECK(tuned.inspirations.empty());
  driver.answer(tuned.proposal.value, {"tuned"});
  const auto added = driver.last<AddVariant>();
  REQUIRE(added.size() == 1);
  CHECK(added[0].operation == Operator::tune);
  CHECK(added[0].parents == std::vector{VariantNumber{0}});
  CHECK(added[0].generation == 1);
  driver.score(driver.first_open_evaluation(), 0.9);
  REQUIRE(driver.search.best());
  CHECK(driver.search.best()->variant == added[0].variant);
}

TEST_CASE("Search: a tuned variant costs its evaluation and nothing else", "[unit][search]") {
  Settings settings = tuning_settings();
  settings.budget.evaluations = 30;
  settings.budget.tokens = 10'000;
  settings.tokens_reserved = 9'999;
  settings.proposals_parallel = 1;
  Driver driver(settings);
  driver.start_with_seed(0.5);
  driver.send(ConstantsFound{VariantNumber{0}, kTwo});
  driver.make_variant(0.4);  // The diff that was asked for before.
  for (int i = 0; i < 6; ++i) {
    REQUIRE(driver.last_proposal().operation == Operator::tune);
    driver.make_variant(0.1 * i);
  }
  CHECK(driver.search.consumption().tokens == 0);
  CHECK(driver.search.consumption().evaluations == 8);
  CHECK(driver.search.phase() == Phase::running);
}

TEST_CASE("Search: where there is nothing to tune another operator is drawn", "[unit][search]") {
  Driver driver(tuning_settings());
  driver.start_with_seed(0.5);
  driver.send(ConstantsFound{VariantNumber{0}, {}});
  for (int i = 0; i < 10; ++i) {
    CHECK(driver.last_proposal().operation == Operator::diff);
    driver.make_variant(0.5 + 0.01 * i);
    for (const auto& asked : driver.last<FindConstants>()) {
      driver.send(ConstantsFound{asked.variant, {}});
    }
  }
  std::set<VariantNumber> asked;
  for (const auto& one : driver.every<FindConstants>()) {
    CHECK(asked.insert(one.variant).second);  // Each variant once.
  }
  CHECK(asked.size() > 3);
}

TEST_CASE("Search: tune climbs where edits are blind", "[unit][search]") {
  // The score depends on two constants; the other operators bring nothing.
  const auto best_with = [](double share) {
    Settings settings = settings_of(PolicyKind::hill_climb);
    settings.operators = {{Operator::diff, 1 - share}};
    if (share > 0) settings.operators.push_back({Operator::tune, share});
    settings.budget.evaluations = 80;
    Driver driver(settings);
    driver.start_with_seed(-2);
    while (driver.search.phase() == Phase::running) {
      for (const auto& asked : driver.last<FindConstants>()) {
        driver.send(ConstantsFound{asked.variant,
                                   asked.variant.value == 0 ? kTwo : std::vector<Constant>{}});
      }
      if (driver.search.phase() != Phase::running) break;
      const auto request = driver.last_proposal();
      double score = -3;
      if (request.operation == Operator::tune) {
        score = -std::abs(request.constants[0] - 1.7) - std::abs(request.constants[1] + 0.6);
      }
      driver.make_variant(score);
    }
    return driver.search.best()->score;
  };
  CHECK(best_with(0) == -2);
  CHECK(best_with(0.5) > -1);
}

}  // namespace cambrian::search
