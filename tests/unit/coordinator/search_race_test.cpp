#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "coordinator/search/race.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

// Races: the repeats of a variant end when they show that it is worse than the best.

namespace cambrian::search {
namespace {

using Scores = std::vector<double>;
using Catch::Approx;

constexpr std::optional<Noise> kUnknown;

TEST_CASE("lost_race: without noise by Student's paired t-test", "[unit][search]") {
  const Scores best = {0.80, 0.82, 0.81, 0.83, 0.79};
  // Mean difference -0.1, standard error 0.01 / sqrt(3): t is 17.3 with 2 degrees of freedom; of
  // the three looks each has 5 / 3 %, for which 5.34 is enough.
  const auto lost = lost_race(Goal::maximize, Scores{0.69, 0.72, 0.72}, best, kUnknown);
  REQUIRE(lost);
  CHECK(*lost == Approx(0.71));
  CHECK_FALSE(lost_race(Goal::maximize, Scores{0.79, 0.83, 0.79}, best, kUnknown));
  CHECK_FALSE(lost_race(Goal::maximize, Scores{0.69}, best, kUnknown));
  // The bound with one degree of freedom is 19.1.
  CHECK_FALSE(lost_race(Goal::maximize, Scores{0.69, 0.73}, best, kUnknown));
  CHECK(lost_race(Goal::maximize, Scores{0.70, 0.721}, best, kUnknown));
  // Who is better, or has all repeats, has lost nothing.
  CHECK_FALSE(lost_race(Goal::minimize, Scores{0.69, 0.72, 0.72}, best, kUnknown));
  CHECK(lost_race(Goal::minimize, Scores{0.91, 0.92, 0.92}, best, kUnknown));
  CHECK_FALSE(lost_race(Goal::maximize, Scores{0.1, 0.1, 0.1, 0.1, 0.1}, best, kUnknown));
  // A task without noise: two equal differences are enough, equal scores are not.
  CHECK(lost_race(Goal::maximize, Scores{0.5, 0.5}, Scores{0.6, 0.6, 0.6}, kUnknown));
  CHECK_FALSE(lost_race(Goal::maximize, Scores{0.6, 0.6}, Scores{0.6, 0.6, 0.6}, kUnknown));
}

TEST_CASE("lost_race: with a known noise from the first repeat on", "[unit][search]") {
  const Scores best = {0.80, 0.82, 0.81, 0.83, 0.79};
  const Noise noise{.deviation = 0.01, .evaluations = 20};
  // Four looks of 1.25 % each, 19 degrees of freedom: 2.43 errors of 0.01 * sqrt(2) are 0.0344.
  CHECK(lost_race(Goal::maximize, Scores{0.80 - 0.0345}, best, noise));
  CHECK_FALSE(lost_race(Goal::maximize, Scores{0.80 - 0.0343}, best, noise));
  CHECK(*lost_race(Goal::maximize, Scores{0.7}, best, noise) == Approx(0.81 - 0.1));
  // What two values tell of the noise asks for 25.5 errors.
  CHECK_FALSE(lost_race(Goal::maximize, Scores{0.5}, best, Noise{0.01, 2}));
}

TEST_CASE("lost_race: absurd scores end nothing by accident", "[unit][search]") {
  const double huge = std::numeric_limits<double>::max();
  CHECK_FALSE(lost_race(Goal::maximize, Scores{-huge, -huge}, Scores{huge, huge, huge}, kUnknown));
}

TEST_CASE("lost_race: who is as good as the best seldom loses", "[unit][search]") {
  Rng rng(2);
  constexpr int kRaces = 4000;
  for (const bool knows_noise : {false, true}) {
    int lost = 0;
    for (int race = 0; race < kRaces; ++race) {
      Scores best;
      Scores own;
      for (int i = 0; i < 8; ++i) best.push_back(rng.normal());
      bool is_lost = false;
      while (own.size() < best.size() && !is_lost) {
        own.push_back(rng.normal());
        is_lost = lost_race(Goal::maximize, own, best,
                            knows_noise ? std::optional(Noise{1, 1000}) : kUnknown)
                      .has_value();
      }
      lost += is_lost ? 1 : 0;
    }
    CAPTURE(knows_noise, lost);
    CHECK(lost <= kRaceError * kRaces);
    CHECK(lost > 0);
  }
}

TEST_CASE("Search: a lost race ends the repeats, and the variant may be a parent",
          "[unit][search]") {
  auto settings = settings_of(PolicyKind::clade);
  settings.repeats = 4;
  settings.races = true;
  settings.budget.evaluations = 40;
  Driver driver(settings);
  driver.start();
  for (const double score : {0.5, 0.52, 0.48, 0.5}) {
    driver.score(driver.first_open_evaluation(), score);
  }
  REQUIRE(driver.search.best()->score == Approx(0.5));

  driver.answer(driver.first_open_proposal(), {"worse"});
  driver.score(driver.first_open_evaluation(), 0.30);
  CHECK(driver.search.open_evaluations().size() == 1);  // One after the other.
  driver.score(driver.first_open_evaluation(), 0.32);
  const auto settled = driver.last<SettleVariant>();
  REQUIRE(settled.size() == 1);
  CHECK(settled.front().state == VariantState::evaluated);
  CHECK(settled.front().score.value() == Approx(0.3));
  CHECK(settled.front().metrics.at("accuracy") == Approx(0.31));
  CHECK(driver.search.consumption().evaluations == 6);
  CHECK(driver.search.best()->variant.value == 0);
  CHECK(driver.search.members().at(0).size() == 2);

  // Who is better has all its repeats, and is what the next one is compared with.
  driver.answer(driver.first_open_proposal(), {"better"});
  for (int i = 0; i < 4; ++i) driver.score(driver.first_open_evaluation(), 0.6 + 0.01 * i);
  CHECK(driver.search.best()->score == Approx(0.615));
  CHECK(driver.search.consumption().evaluations == 10);
  driver.answer(driver.first_open_proposal(), {"as the seed"});
  driver.score(driver.first_open_evaluation(), 0.50);
  driver.score(driver.first_open_evaluation(), 0.51);
  CHECK(driver.last<SettleVariant>().front().score.value() == Approx(0.515));
}

TEST_CASE("Search: nobody loses a race to a best that breaks a constraint", "[unit][search]") {
  auto settings = settings_of(PolicyKind::random);
  settings.repeats = 3;
  settings.races = true;
  settings.constraints = {{"source_tokens", std::nullopt, 9}};  // All have 10.
  settings.budget.evaluations = 20;
  Driver driver(settings);
  driver.start();
  for (int i = 0; i < 3; ++i) driver.score(driver.first_open_evaluation(), 0.5);
  driver.answer(driver.first_open_proposal(), {"worse"});
  for (int i = 0; i < 3; ++i) driver.score(driver.first_open_evaluation(), 0.1);
  CHECK(driver.search.consumption().evaluations == 6);
}

}  // namespace
}  // namespace cambrian::search
