#include <catch2/catch_test_macros.hpp>

#include "tests/integration/coordinator/replay_check.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

using Rungs = std::vector<double>;

spec::v1::CampaignSpec make_spec(Service& service, const std::string& name, int evaluations) {
  service.user.register_task("int answer() { return 1; }\n", "score");
  auto spec = service.user.make_spec(name, evaluations);
  auto* rule = spec.mutable_evaluation()->mutable_early_stop();
  rule->add_rungs(0.25);
  rule->add_rungs(0.5);
  rule->set_minimum(2);
  spec.mutable_evaluation()->set_parallel(1);
  spec.mutable_codegen()->set_parallel(1);
  return spec;
}

/// Says what the training was worth at its rungs so far; true when it is to stop.
bool tell(ScriptedAgent& worker, const agent::v1::Lease& lease, const Rungs& values) {
  auto request = worker.make_sync(0);
  auto* running = request.add_running();
  *running->mutable_lease() = lease;
  for (const double value : values) {
    (*running->mutable_rungs())[static_cast<int>(running->rungs_size())] = value;
  }
  agent::v1::SyncResponse response;
  REQUIRE(worker.sync(request, &response).ok());
  CHECK(response.cancelled().empty());
  if (response.stopped().empty()) return false;
  REQUIRE(response.stopped_size() == 1);
  CHECK(response.stopped(0).item_id() == lease.item_id());
  CHECK(response.stopped(0).epoch() == lease.epoch());
  return true;
}

/// The next evaluation of the search, after a proposal.
agent::v1::Assignment claim_next(Service& service) {
  const auto proposals = service.codegen.claim(1);
  REQUIRE(proposals.size() == 1);
  CHECK(proposals[0].proposal().failures().empty());
  REQUIRE(service.codegen.finish(proposals[0].lease(), proposal_of(1)).ok());
  const auto assignments = service.worker.claim(1);
  REQUIRE(assignments.size() == 1);
  return assignments[0];
}

agent::v1::EvaluationResult stopped() {
  agent::v1::EvaluationResult result;
  result.set_outcome(agent::v1::EVALUATION_OUTCOME_STOPPED_EARLY);
  result.mutable_time_saved()->set_seconds(2);
  return result;
}

}  // namespace

TEST_CASE("coordinator: a training that others were better than is stopped, and counted apart",
          "[integration][coordinator]") {
  Service service;
  service.user.create(make_spec(service, "early", 7));
  const auto seed = service.worker.claim(1);
  REQUIRE(seed.size() == 1);
  CHECK(seed[0].evaluation().rungs().empty());  // Never stopped, and so never asked.
  REQUIRE(service.worker.finish(seed[0].lease(), success(1)).ok());

  // Too few were there before the first two.
  for (const double value : {5.0, 6.0}) {
    const auto good = claim_next(service);
    REQUIRE(good.evaluation().rungs_size() == 2);
    CHECK(good.evaluation().rungs(0) == 0.25);
    CHECK_FALSE(tell(service.worker, good.lease(), {value}));
    CHECK_FALSE(tell(service.worker, good.lease(), {value, value + 1}));
    REQUIRE(service.worker.finish(good.lease(), success(value)).ok());
  }
  const auto bad = claim_next(service);
  CHECK_FALSE(tell(service.worker, bad.lease(), {}));
  CHECK_FALSE(tell(service.worker, bad.lease(), {5.5}));  // Between them.
  CHECK(tell(service.worker, bad.lease(), {5.5, 1.0}));
  CHECK(tell(service.worker, bad.lease(), {5.5, 1.0}));  // The answer may have been lost.
  service.crash_and_restart();
  REQUIRE(eventually([&] {
    agent::v1::SyncResponse response;
    return service.worker.sync(service.worker.make_sync(0), &response).ok();
  }));
  CHECK(tell(service.worker, bad.lease(), {5.5, 1.0}));
  // What was noted is not changed by another word.
  CHECK(tell(service.worker, bad.lease(), {9.0, 9.0}));
  CHECK(query_number(service.database, "SELECT count(*) FROM rung WHERE is_hopeless") == 1);
  CHECK(query_number(service.database, "SELECT count(*) FROM rung") == 6);
  REQUIRE(service.worker.finish(bad.lease(), stopped()).ok());

  const auto diverged = claim_next(service);
  CHECK(tell(service.worker, diverged.lease(), {-1e300}));
  // One that is done before it hears of it has its score.
  REQUIRE(service.worker.finish(diverged.lease(), success(0.5)).ok());

  REQUIRE(work_until_ended(service.user, "early", service.worker, service.codegen));
  const auto campaign = service.user.get("early");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_SUCCEEDED);
  CHECK(campaign.consumption().evaluations() == 7);
  CHECK(campaign.consumption().evaluations_failed() == 0);
  CHECK(campaign.consumption().evaluations_stopped_early() == 1);
  CHECK(campaign.consumption().training_time_saved().seconds() == 2);
  const auto variant = service.user.variant("early", 3);
  CHECK(variant.state() == user::v1::VARIANT_STATE_FAILED);
  CHECK(variant.outcome() == agent::v1::EVALUATION_OUTCOME_STOPPED_EARLY);
  CHECK_FALSE(variant.has_score());
  REQUIRE(variant.evaluations_size() == 1);
  CHECK(variant.evaluations(0).result().time_saved().seconds() == 2);
  CHECK(service.user.variant("early", 4).score() == 0.5);
  const auto metrics = fetch_metrics(service.coordinator.metrics_address());
  CHECK(metrics.find("cambrian_coordinator_time_saved_seconds_total 2") != std::string::npos);
  CHECK(metrics.find("cambrian_coordinator_evaluations_total{outcome=\"stopped_early\"} 1") !=
        std::string::npos);
  check_replay(service.user, "early");
}

TEST_CASE("coordinator: rungs of another lease, another campaign or no campaign are not noted",
          "[integration][coordinator]") {
  Service service;
  service.user.create(service.user.make_spec("plain", 5));
  const auto seed = service.worker.claim(1);
  REQUIRE(seed.size() == 1);
  CHECK_FALSE(tell(service.worker, seed[0].lease(), {1.0, 2.0}));  // Nobody asked.
  auto stale = service.worker.make_sync(0);
  auto* running = stale.add_running();
  *running->mutable_lease() = seed[0].lease();
  running->mutable_lease()->set_epoch(9);
  (*running->mutable_rungs())[0] = 1;
  agent::v1::SyncResponse response;
  REQUIRE(service.worker.sync(stale, &response).ok());
  CHECK(response.cancelled_size() == 1);
  CHECK(response.stopped().empty());
  CHECK(query_number(service.database, "SELECT count(*) FROM rung") == 0);
  for (int i = 0; i < 17; ++i) (*running->mutable_rungs())[i] = 1;
  CHECK(service.worker.sync(stale, &response).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("coordinator: early_stop is refused where the judge asks nothing at rungs",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("early", 5);
  spec.mutable_evaluation()->mutable_early_stop();
  user::v1::Campaign campaign;
  const auto status = service.user.try_create(spec, &campaign);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  const auto violations = rpc::details_of(status).field_violations;
  REQUIRE(violations.size() == 1);
  CHECK(violations[0].field == "spec.evaluation.early_stop");
  CHECK(violations[0].description.find("judge.rung_metric") != std::string::npos);
}
