#include "coordinator/search/search.hpp"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

TEST_CASE("Search: asks for the seed first and for proposals when it is evaluated",
          "[unit][search]") {
  Driver driver(settings_of());
  driver.start();
  REQUIRE(driver.last<AddVariant>().size() == 1);
  CHECK(driver.last<AddVariant>()[0].variant == VariantNumber{0});
  CHECK_FALSE(driver.last<AddVariant>()[0].proposal);
  REQUIRE(driver.last<RequestEvaluation>().size() == 1);
  CHECK(driver.last<RequestEvaluation>()[0].evaluation == EvaluationNumber{1});
  CHECK(driver.last<RequestProposal>().empty());

  driver.score(1, 0.5);
  REQUIRE(driver.last<SettleVariant>().size() == 1);
  CHECK(driver.last<SettleVariant>()[0].score == 0.5);
  CHECK(driver.last<SetBest>() == std::vector<SetBest>{{VariantNumber{0}, 0.5}});
  REQUIRE(driver.last<RequestProposal>().size() == 1);
  CHECK(driver.last<RequestProposal>()[0].proposal == ProposalNumber{1});
  CHECK(driver.last<RequestProposal>()[0].parents == std::vector<VariantNumber>{{0}});
  CHECK(driver.search.phase() == Phase::running);
}

TEST_CASE("Search: ends when the seed fails", "[unit][search]") {
  Driver driver(settings_of());
  driver.start();
  driver.fail(1, Outcome::compile_error);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.end_reason() == EndReason::failure);
  CHECK(driver.search.explanation() == "the seed does not evaluate: outcome=compile_error");
  CHECK(driver.every<RequestEvaluation>().size() == 1);
}

TEST_CASE("Search: makes exactly the evaluations of the budget, then the finals",
          "[unit][search]") {
  Driver driver(settings_of());
  driver.start_with_seed(0.5);
  for (const double score : {0.6, 0.4, 0.7}) driver.make_variant(score);
  driver.answer(4, {"broken"});
  driver.fail(5);
  CHECK(driver.search.consumption().evaluations == 5);
  CHECK(driver.search.consumption().evaluations_failed == 1);
  CHECK(driver.search.phase() == Phase::finalizing);
  CHECK(driver.search.end_reason() == EndReason::evaluations);
  CHECK(driver.search.best() == Scored{VariantNumber{3}, 0.7});
  driver.finish_evaluations(0.1);
  CHECK(driver.search.phase() == Phase::ended);
  CHECK(driver.search.consumption().evaluations == 5);
  CHECK(driver.search.consumption().final_evaluations == 4);
  CHECK(driver.search.best() == Scored{VariantNumber{3}, 0.7});
}

}  // namespace
}  // namespace cambrian::search
