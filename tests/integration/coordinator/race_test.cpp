#include <catch2/catch_test_macros.hpp>

#include "tests/integration/coordinator/replay_check.hpp"

using namespace cambrian;
using namespace cambrian::test;

TEST_CASE("coordinator: the repeats of a variant that lost its race end",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("race", 11);
  spec.mutable_evaluation()->set_repeats(4);
  spec.mutable_evaluation()->set_race(true);
  spec.mutable_evaluation()->set_parallel(1);
  spec.mutable_codegen()->set_parallel(1);
  service.user.create(spec);
  const auto evaluate = [&service](double score) {
    const auto work = service.worker.claim(1);
    REQUIRE(work.size() == 1);
    REQUIRE(service.worker.finish(work.front().lease(), success(score)).ok());
  };
  const auto propose = [&service] {
    const auto proposals = service.codegen.claim(1);
    REQUIRE(proposals.size() == 1);
    REQUIRE(service.codegen.finish(proposals.front().lease(), proposal_of(1)).ok());
  };
  for (const double score : {1.0, 1.5, 2.0, 2.5}) evaluate(score);
  propose();
  for (const double score : {0.5, 1.0, 1.5}) evaluate(score);
  propose();
  for (const double score : {3.0, 2.0, 4.0, 3.0}) evaluate(score);
  REQUIRE(work_until_ended(service.user, "race", service.worker, service.codegen));

  const auto lost = service.user.variant("race", 1);
  CHECK(lost.state() == user::v1::VARIANT_STATE_EVALUATED);
  CHECK(lost.evaluations_size() == 3);
  CHECK(lost.score() == 1.25);  // Half below the seed's 1.75, as on the draws that both had.
  CHECK(lost.metrics().at("score") == 1.25);
  const auto campaign = service.user.get("race");
  CHECK(campaign.consumption().evaluations() == 11);
  CHECK(campaign.best_variant() == 2);
  CHECK(campaign.best_score() == 3.0);
  check_replay(service.user, "race");
}
