#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "common/statistics/statistics.hpp"
#include "coordinator/search/race.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

// Races: the repeats of a variant end when they show that it is worse than the best.

namespace cambrian::search {
namespace {

using Scores = std::vector<double>;
using Catch::Approx;

const std::optional<Noise> kUnknown;

TEST_CASE("find_lost_score: without noise by Student's paired t-test", "[unit][search]") {
  const Scores best = {0.80, 0.82, 0.81, 0.83, 0.79};
  // Mean difference -0.1, standard error 0.01 / sqrt(3): t is 17.3 with 2 degrees of freedom; of
  // the two looks each has 2.5 %, for which 4.30 is enough.
  const auto lost = find_lost_score(Goal::maximize, Scores{0.69, 0.72, 0.72}, best, kUnknown);
  REQUIRE(lost);
  CHECK(*lost == Approx(0.71));
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{0.79, 0.83, 0.79}, best, kUnknown));
  // Differences -0.1, -0.1 and d with a mean of 4.30 errors: d is -0.043.
  CHECK(find_lost_score(Goal::maximize, Scores{0.70, 0.72, 0.81 - 0.044}, best, kUnknown));
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{0.70, 0.72, 0.81 - 0.042}, best, kUnknown));
  // Too early, whatever they are.
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{0.1, 0.12}, best, kUnknown));
  // Who is better, or has all repeats, has lost nothing.
  CHECK_FALSE(find_lost_score(Goal::minimize, Scores{0.69, 0.72, 0.72}, best, kUnknown));
  CHECK(find_lost_score(Goal::minimize, Scores{0.91, 0.92, 0.92}, best, kUnknown));
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{0.1, 0.1, 0.1, 0.1, 0.1}, best, kUnknown));
  // A task without noise: equal differences are enough, equal scores are not. That the seed's score
  // does not vary is not taken for a noise of 0.
  const Scores flat = {0.6, 0.6, 0.6, 0.6};
  CHECK(find_lost_score(Goal::maximize, Scores{0.5, 0.5, 0.5}, flat, kUnknown));
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{0.6, 0.6, 0.6}, flat, kUnknown));
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{0.5}, flat, Noise{0, 5}));
}

TEST_CASE("find_lost_score: with a known noise from the first repeat on", "[unit][search]") {
  const Scores best = {0.80, 0.82, 0.81, 0.83, 0.79};
  const Noise noise{.deviation = 0.01, .evaluations = 20};
  // Four looks of 1.25 % each, 19 degrees of freedom: 2.43 errors of 0.01 * sqrt(2) are 0.0344.
  CHECK(find_lost_score(Goal::maximize, Scores{0.80 - 0.0345}, best, noise));
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{0.80 - 0.0343}, best, noise));
  CHECK(*find_lost_score(Goal::maximize, Scores{0.7}, best, noise) == Approx(0.81 - 0.1));
  // What two values tell of the noise asks for 25.5 errors.
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{0.5}, best, Noise{0.01, 2}));
}

TEST_CASE("find_lost_score: absurd scores end nothing by accident", "[unit][search]") {
  const double huge = std::numeric_limits<double>::max();
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{-huge}, Scores{huge, huge}, Noise{1, 9}));
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{-huge}, Scores{0.5, 0.5, -huge}, Noise{1, 9}));
  // Behind by less than the mean of the best can tell: nobody with fewer repeats becomes the best.
  const double less = std::nextafter(0.125, 0.0);
  CHECK_FALSE(find_lost_score(Goal::maximize, Scores{less, less, less},
                              Scores{0.125, 0.125, 0.125, 1000}, kUnknown));
}

/// How many of equal variants lose to a best that is the best of `candidates` of them.
int count_lost(int candidates, const std::optional<Noise>& noise, int races) {
  constexpr int kRepeats = 5;
  Rng rng(2);
  const auto draw = [&rng] {
    Scores scores;
    for (int i = 0; i < kRepeats; ++i) scores.push_back(rng.normal());
    return scores;
  };
  int lost = 0;
  for (int race = 0; race < races; ++race) {
    Scores best = draw();
    for (int i = 1; i < candidates; ++i) {
      if (Scores other = draw(); statistics::mean(other) > statistics::mean(best)) best = other;
    }
    const Scores own = draw();
    bool is_lost = false;
    for (std::size_t look = 1; look < own.size() && !is_lost; ++look) {
      is_lost =
          find_lost_score(Goal::maximize, std::span(own).first(look), best, noise).has_value();
    }
    lost += is_lost ? 1 : 0;
  }
  return lost;
}

TEST_CASE("find_lost_score: who is as good as the best seldom loses", "[unit][search]") {
  constexpr int kRaces = 1000;
  for (const auto& noise : {kUnknown, std::optional(Noise{1, 1000})}) {
    const int lost = count_lost(1, noise, kRaces);
    CAPTURE(noise.has_value(), lost);
    CHECK(lost > 0);
    CHECK(lost <= kRaceError * kRaces);
    // A best that was chosen by these scores looks better than it is.
    const int lost_to_chosen = count_lost(50, noise, kRaces);
    CAPTURE(lost_to_chosen);
    CHECK(lost_to_chosen > lost);
    CHECK(lost_to_chosen <= 5 * kRaceError * kRaces);
  }
}

TEST_CASE("Search: a lost race ends the repeats, and the variant may be a parent",
          "[unit][search]") {
  auto settings = settings_of(PolicyKind::clade);
  settings.repeats = 4;
  settings.races = true;
  settings.evaluations_parallel = 4;
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
  CHECK(driver.last<SettleVariant>().empty());
  driver.score(driver.first_open_evaluation(), 0.27);
  const auto settled = driver.last<SettleVariant>();
  REQUIRE(settled.size() == 1);
  CHECK(settled.front().state == VariantState::evaluated);
  // 0.203 below on the draws that both had; the mean of the best is 0.5.
  CHECK(settled.front().score.value() == Approx(0.29667).epsilon(1e-4));
  CHECK(settled.front().metrics.at("accuracy") == Approx(0.29667).epsilon(1e-4));
  CHECK(driver.search.consumption().evaluations == 7);
  CHECK(driver.search.best()->variant.value == 0);
  CHECK(driver.search.members().at(0).size() == 2);

  // Who is better has all its repeats, and is what the next one is compared with.
  driver.answer(driver.first_open_proposal(), {"better"});
  for (int i = 0; i < 4; ++i) driver.score(driver.first_open_evaluation(), 0.6 + 0.01 * i);
  CHECK(driver.search.best()->score == Approx(0.615));
  CHECK(driver.search.consumption().evaluations == 11);
  driver.answer(driver.first_open_proposal(), {"as the seed"});
  for (const double score : {0.50, 0.51, 0.52}) {
    driver.score(driver.first_open_evaluation(), score);
  }
  CHECK(driver.last<SettleVariant>().front().score.value() == Approx(0.515));
}

TEST_CASE("Search: nobody loses a race to a best that breaks a constraint", "[unit][search]") {
  auto settings = settings_of(PolicyKind::random);
  settings.repeats = 4;
  settings.races = true;
  settings.constraints = {{"source_tokens", std::nullopt, 9}};  // All have 10.
  settings.budget.evaluations = 20;
  Driver driver(settings);
  driver.start();
  for (int i = 0; i < 4; ++i) driver.score(driver.first_open_evaluation(), 0.5);
  driver.answer(driver.first_open_proposal(), {"worse"});
  for (int i = 0; i < 4; ++i) driver.score(driver.first_open_evaluation(), 0.1);
  CHECK(driver.search.consumption().evaluations == 8);
}

}  // namespace
}  // namespace cambrian::search
