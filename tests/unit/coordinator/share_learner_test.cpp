#include "coordinator/search/share_learner.hpp"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <numeric>
#include <string>

#include "common/base/rng.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

double sum_of(const std::vector<double>& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

}  // namespace

TEST_CASE("ShareLearner: begins with the weights, and keeps them while nothing gains",
          "[unit][search]") {
  ShareLearner learner({0.7, 0.1, 0.2});
  CHECK(learner.weights() == std::vector<double>{0.7, 0.1, 0.2});
  for (int i = 0; i < 100; ++i) learner.tell(0, 0, 1);
  CHECK(learner.weights() == std::vector<double>{0.7, 0.1, 0.2});
}

TEST_CASE("ShareLearner: any weights and gains give weights that can be drawn by",
          "[unit][search]") {
  for (const std::vector<double>& first :
       {std::vector<double>{1e307, 1e307, 1e-308}, {1e-308, 1e17}, {1}, {1e-300, 2e-300}}) {
    ShareLearner learner(first);
    learner.tell(0, 1e300, 1e9);
    for (int i = 0; i < 40'000; ++i) learner.tell(0, 0, 1);  // Until nothing is left of the gain.
    const auto check = [&] {
      for (const double weight : learner.weights()) CHECK(weight > 0);
      Rng rng(1);
      CHECK(rng.weighted(learner.weights()) < first.size());
    };
    check();
    learner.tell(0, 1e-300, 0);
    check();
  }
}

TEST_CASE("ShareLearner: what costs nothing is told, too", "[unit][search]") {
  ShareLearner learner({1, 1});
  for (int i = 0; i < 100; ++i) {
    learner.tell(0, i % 4 == 0 ? 1 : 0, 0);
    learner.tell(1, i % 4 == 0 ? 1 : 0, 1);
  }
  CHECK(learner.weights()[0] > 3 * learner.weights()[1]);
}

TEST_CASE("ShareLearner: what gains more is drawn more", "[unit][search]") {
  ShareLearner learner({1, 1});
  for (int i = 0; i < 200; ++i) {
    learner.tell(0, i % 2 == 0 ? 1 : 0, 1);
    learner.tell(1, i % 10 == 0 ? 1 : 0, 1);
  }
  const auto weights = learner.weights();
  CHECK(sum_of(weights) == Catch::Approx(1));
  // Five times the gain; what the arm was given as a prior draws them together a little.
  CHECK(weights[0] / weights[1] > 3.5);
  CHECK(weights[0] / weights[1] < 6);
}

TEST_CASE("ShareLearner: what costs more is drawn less", "[unit][search]") {
  ShareLearner learner({1, 1});
  for (int i = 0; i < 200; ++i) {
    learner.tell(0, i % 4 == 0 ? 1 : 0, 1);
    learner.tell(1, i % 4 == 0 ? 1 : 0, 3);
  }
  CHECK(learner.weights()[0] / learner.weights()[1] == Catch::Approx(3).epsilon(0.3));
}

TEST_CASE("ShareLearner: no arm is given up, and one that becomes better is found",
          "[unit][search]") {
  ShareLearner learner({0.5, 0.5});
  for (int i = 0; i < 500; ++i) learner.tell(0, 1, 1);
  for (int i = 0; i < 500; ++i) learner.tell(1, 0, 1);
  CHECK(learner.weights()[1] == Catch::Approx(0.05).epsilon(0.06));  // A tenth of its first share.
  for (int i = 0; i < 100; ++i) learner.tell(1, 1, 1);
  CHECK(learner.weights()[1] > 0.3);
}

TEST_CASE("ShareLearner: one leap is no more than some steps, the first one included",
          "[unit][search]") {
  ShareLearner learner({1, 1});
  const auto ratio = [&] { return learner.weights()[1] / learner.weights()[0]; };
  for (const double leap : {1e6, 1e300}) {
    learner.tell(1, leap, 1);
    for (int i = 0; i < 20; ++i) {
      learner.tell(0, i % 2 == 0 ? 1e-3 : 0, 1);
      learner.tell(1, i % 10 == 0 ? 1e-3 : 0, 1);
    }
    CHECK(ratio() < 1);  // Five times the gains count again.
  }
  for (int i = 0; i < 100; ++i) learner.tell(0, i % 2 == 0 ? 1e-3 : 0, 1);
  for (int i = 0; i < 100; ++i) learner.tell(1, i % 10 == 0 ? 1e-3 : 0, 1);
  CHECK(ratio() < 0.3);
}

TEST_CASE("Ledger: a share is that of the budget of which most is taken", "[unit][search]") {
  Settings settings;
  settings.budget = {.evaluations = 100, .tokens = 1000, .cost_micro_usd = 10'000};
  CHECK(Ledger(settings).share_of(1, 0, 0) == 0.01);
  CHECK(Ledger(settings).share_of(1, 50, 0) == 0.05);
  CHECK(Ledger(settings).share_of(1, 50, 2000) == 0.2);
  settings.budget = {.tokens = 1000};
  CHECK(Ledger(settings).share_of(7, 0, 900) == 0);
  settings.budget = {.wall_time_ms = 1000};
  CHECK(Ledger(settings).share_of(7, 50, 900) == 7);
}

TEST_CASE("Search: what brings nothing is drawn less, an outage is nobody's fault",
          "[unit][search]") {
  enum class Kind { nothing, duplicate, failure, outage, lost };
  const auto share_of_large = [](Kind kind) {
    Settings settings = settings_of(PolicyKind::hill_climb);
    settings.models = {{"small", 1, {}}, {"large", 1, {}}};
    settings.learns_shares = true;
    settings.budget.evaluations = 300;
    Driver driver(settings);
    driver.start_with_seed(0.1);
    double best = 0.1;
    int number = 0;
    while (driver.search.phase() == Phase::running && number < 600) {
      const RequestProposal request = driver.last_proposal();
      const bool is_large = request.model == "large";
      ProposalFinished answer;
      answer.proposal = request.proposal;
      answer.is_infrastructure = is_large && kind == Kind::outage;
      const bool is_empty = is_large && (kind == Kind::nothing || kind == Kind::outage);
      const bool is_known = is_large && kind == Kind::duplicate;
      if (!is_empty) answer.variants = {{is_known ? "seed" : std::to_string(++number), 1}};
      driver.send(answer);
      if (is_empty || is_known) continue;
      const Outcome outcome = kind == Kind::lost ? Outcome::infrastructure : Outcome::crash;
      if (is_large) {
        driver.fail(driver.first_open_evaluation(), outcome);
      } else {
        driver.score(driver.first_open_evaluation(), number % 3 == 0 ? best += 1e-3 : 0.05);
      }
    }
    const auto requests = driver.every<RequestProposal>();
    const auto large = std::ranges::count(requests, "large", &RequestProposal::model);
    return static_cast<double>(large) / static_cast<double>(requests.size());
  };
  for (const Kind kind : {Kind::nothing, Kind::duplicate, Kind::failure}) {
    CAPTURE(static_cast<int>(kind));
    CHECK(share_of_large(kind) < 0.3);
  }
  for (const Kind kind : {Kind::outage, Kind::lost}) {
    CAPTURE(static_cast<int>(kind));
    CHECK(share_of_large(kind) > 0.4);
  }
}

TEST_CASE("Search: learned shares go to what improves", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::hill_climb);
  settings.operators = {{Operator::diff, 1}, {Operator::rewrite, 1}};
  settings.models = {{"small", 1, {}}, {"large", 1, {}}};
  settings.learns_shares = true;
  settings.budget = {.evaluations = 400, .tokens = 400'000};
  Driver driver(settings);
  driver.start_with_seed(0.1);
  // Only rewrites improve; the models are worth the same, and one costs twice as much: a 200th of
  // the tokens is more than a 400th of the evaluations.
  double best = 0.1;
  int number = 0;
  while (driver.search.phase() == Phase::running) {
    const RequestProposal request = driver.last_proposal();
    driver.answer(request.proposal.value, {"digest " + std::to_string(++number)},
                  request.model == "large" ? 2000 : 200);
    if (driver.search.open_evaluations().empty()) break;
    const bool is_better = request.operation == Operator::rewrite && number % 3 == 0;
    driver.score(driver.first_open_evaluation(), is_better ? best += 1e-3 : 0.05);
  }
  const auto requests = driver.every<RequestProposal>();
  REQUIRE(requests.size() > 200);
  int rewrites = 0;
  int small = 0;
  for (std::size_t i = requests.size() - 100; i < requests.size(); ++i) {
    if (requests[i].operation == Operator::rewrite) ++rewrites;
    if (requests[i].model == "small") ++small;
  }
  CHECK(rewrites > 75);
  CHECK(small > 55);
}

}  // namespace cambrian::search
