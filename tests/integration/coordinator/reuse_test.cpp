#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <pqxx/pqxx>

#include "cambrian/user/v1/admin_service.grpc.pb.h"
#include "coordinator/adapters/postgres/driver_step.hpp"
#include "tests/integration/coordinator/fixture.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

/// Creates a campaign and gives the seed's evaluation to a worker; none when it was known.
std::optional<agent::v1::Assignment> claim_seed(Service& service,
                                                const spec::v1::CampaignSpec& spec) {
  service.user.create(spec);
  std::vector<agent::v1::Assignment> assignments;
  eventually([&] {
    assignments = service.worker.claim(1, milliseconds(300));
    return !assignments.empty() || service.user.get(spec.name()).has_seed_score();
  });
  if (assignments.empty()) return std::nullopt;
  return assignments.front();
}

void finish_seed(Service& service, const std::string& name, double score) {
  const auto seed = claim_seed(service, service.user.make_spec(name, 5));
  REQUIRE(seed);
  REQUIRE(service.worker.finish(seed->lease(), success(score)).ok());
  service.user.stop(name);
}

agent::v1::EvaluationResult seed_result(Service& service, const std::string& name) {
  const auto variant = service.user.variant(name, 0);
  REQUIRE(variant.evaluations_size() == 1);
  return variant.evaluations(0).result();
}

}  // namespace

TEST_CASE("coordinator: a result that repeated itself is not made a third time",
          "[integration][coordinator]") {
  Service service;
  finish_seed(service, "first", 2.5);
  finish_seed(service, "second", 2.5);  // Equal content, but nobody knows what that means here.
  CHECK_FALSE(seed_result(service, "second").is_cached());

  auto spec = service.user.make_spec("third", 4);
  spec.set_seed(77);  // The search's: what is evaluated on follows from evaluation.seed.
  REQUIRE_FALSE(claim_seed(service, spec));
  const auto result = seed_result(service, "third");
  CHECK(result.is_cached());
  CHECK(result.metrics().at("score") == 2.5);
  CHECK(result.log() == "hello");
  CHECK(result.usage().cpu_time().nanos() == 0);
  CHECK(service.user.get("third").seed_score() == 2.5);

  // It counts as any other.
  REQUIRE(work_until_ended(service.user, "third", service.worker, service.codegen));
  const auto campaign = service.user.get("third");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_SUCCEEDED);
  CHECK(campaign.consumption().evaluations() == 4);
  CHECK(campaign.consumption().evaluations_reused() == 1);
  CHECK(campaign.consumption().final_evaluations() > 0);
  const auto events = service.user.events("third");
  CHECK(campaign.last_sequence() == static_cast<std::int64_t>(events.size()));
  CHECK(fetch_metrics(service.coordinator.metrics_address())
            .find("cambrian_coordinator_evaluations_reused_total 1") != std::string::npos);
}

TEST_CASE("coordinator: other draws, other parameters and a wish make a result anew",
          "[integration][coordinator]") {
  Service service;
  finish_seed(service, "first", 2.5);
  finish_seed(service, "second", 2.5);
  auto other_draws = service.user.make_spec("other-draws", 5);
  other_draws.mutable_evaluation()->set_seed(2);
  auto other_parameters = service.user.make_spec("other-parameters", 5);
  (*other_parameters.mutable_task()->mutable_parameters())["rounds"] = 11;
  auto fresh = service.user.make_spec("fresh", 5);
  fresh.mutable_evaluation()->set_reuse(false);
  for (const auto& spec : {other_draws, other_parameters, fresh}) {
    CAPTURE(spec.name());
    const auto seed = claim_seed(service, spec);
    REQUIRE(seed);
    REQUIRE(service.worker.finish(seed->lease(), success(2.5)).ok());
    service.user.stop(spec.name());
  }
}

TEST_CASE("coordinator: a task whose results differ is always evaluated anew",
          "[integration][coordinator]") {
  Service service;
  finish_seed(service, "first", 2.5);
  finish_seed(service, "second", 2.75);
  finish_seed(service, "third", 2.5);
  finish_seed(service, "fourth", 2.5);
  CHECK(query_number(service.database, "SELECT count(*) FROM task WHERE repeatability = 'noisy'") ==
        1);
}

TEST_CASE("coordinator: disowned results are not found, nor those that were being made",
          "[integration][coordinator]") {
  Service service;
  finish_seed(service, "first", 2.5);
  const auto begun = claim_seed(service, service.user.make_spec("second", 5));
  REQUIRE(begun);

  const auto admin = user::v1::AdminService::NewStub(service.coordinator.channel());
  user::v1::DisownResultsRequest request;
  user::v1::DisownResultsResponse response;
  const auto disown = [&] {
    grpc::ClientContext context;
    return admin->DisownResults(&context, request, &response);
  };
  CHECK(disown().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  request.set_reason("a worker computed wrong numbers");
  REQUIRE(disown().ok());
  CHECK(response.results() == 1);
  REQUIRE(service.worker.finish(begun->lease(), success(2.5)).ok());
  service.user.stop("second");

  // Were the second's known, the third would agree with it, and the fourth be found.
  finish_seed(service, "third", 2.5);
  finish_seed(service, "fourth", 2.5);
  REQUIRE_FALSE(claim_seed(service, service.user.make_spec("fifth", 5)));
  CHECK(seed_result(service, "fifth").is_cached());
}

TEST_CASE("coordinator: results of a deleted campaign and of a lost toolchain are not found",
          "[integration][coordinator]") {
  Service service;
  finish_seed(service, "first", 2.5);
  finish_seed(service, "second", 2.5);
  SECTION("deleted") {
    // The second one's result was compared, not kept.
    REQUIRE(eventually([&] { return service.user.remove("first").ok(); }));
    REQUIRE(eventually(
        [&] { return query_number(service.database, "SELECT count(*) FROM result") == 0; }));
  }
  SECTION("no worker has the toolchain any more") {
    query_number(service.database,
                 "WITH gone AS (UPDATE agent SET last_sync_at = now() - interval '2 minutes',"
                 " description = description || '{\"toolchain\": \"old\"}' RETURNING 1)"
                 " SELECT count(*) FROM gone");
    query_number(service.database,
                 "WITH old AS (UPDATE result SET toolchain = 'old' RETURNING 1)"
                 " SELECT count(*) FROM old");
  }
  CHECK(claim_seed(service, service.user.make_spec("third", 5)));
}

TEST_CASE("coordinator: what a step asks for and withdraws again is not found",
          "[integration][coordinator]") {
  Service service;
  finish_seed(service, "first", 2.5);
  finish_seed(service, "second", 2.5);
  service.coordinator.crash();  // The test drives the campaign now.

  coordinator::postgres::Session connection(service.database);
  pqxx::work transaction(connection);
  const auto row = transaction
                       .exec(
                           "SELECT id, driver_epoch, applied_sequence, last_sequence, evaluations"
                           " FROM campaign WHERE name = 'second'")
                       .one_row();
  const auto seed = transaction.query_value<std::string>(
      "SELECT seed FROM evaluation WHERE NOT is_final ORDER BY number LIMIT 1");
  const search::RequestEvaluation request{.evaluation = search::EvaluationNumber{1001},
                                          .variant = search::VariantNumber{0},
                                          .seed = std::stoull(seed)};
  coordinator::DriverStep step{
      .lease = {coordinator::CampaignId{row[0].as<std::int64_t>()}, row[1].as<std::int64_t>()},
      .applied_before = row[2].as<std::int64_t>(),
      .applied_after = row[2].as<std::int64_t>(),
      .commands = {request}};
  int found = 1;
  SECTION("asked for alone, it is there") {}
  SECTION("withdrawn") {
    step.commands.emplace_back(search::CancelEvaluations{{request.evaluation}});
    found = 0;
  }
  SECTION("the campaign ends") {
    step.commands.emplace_back(search::SetPhase{.phase = search::Phase::ended,
                                                .reason = search::EndReason::user,
                                                .explanation = "stopped"});
    found = 0;
  }
  const auto state = coordinator::postgres::carry_out(transaction, step);
  REQUIRE(state);
  CHECK(state->evaluations_reused == found);
  CHECK(state->evaluations_added == 0);
  CHECK(transaction.query_value<std::int64_t>(
            "SELECT evaluations FROM campaign WHERE name = 'second'") ==
        row[4].as<std::int64_t>() + found);
  CHECK(transaction
            .exec("SELECT 1 FROM event WHERE campaign_id = $1 AND sequence > $2"
                  " AND type = 'evaluation_finished'",
                  pqxx::params{row[0].as<std::int64_t>(), row[3].as<std::int64_t>()})
            .affected_rows() == found);
}
