#include <catch2/catch_test_macros.hpp>

#include "common/rpc/status.hpp"
#include "tests/integration/coordinator/guarded.hpp"

using namespace cambrian;
using namespace cambrian::test;
using grpc::StatusCode;

namespace {

/// Calls that were refused for this reason.
int metric_of(const Guarded& guarded, const std::string& reason) {
  const auto metrics = fetch_metrics(guarded.coordinator.metrics_address());
  const auto name = "cambrian_coordinator_calls_refused_total{reason=\"" + reason + "\"} ";
  const auto at = metrics.find(name);
  REQUIRE(at != std::string::npos);
  return std::stoi(metrics.substr(at + name.size()));
}

}  // namespace

TEST_CASE("limits: a person makes so many calls a second, agents as many as they need",
          "[integration][coordinator]") {
  const Guarded guarded{.limits = "calls_per_second: 3\n"};
  const auto bob = guarded.as(guarded.make("bob", user::v1::ROLE_USER));
  const auto eve = guarded.as(guarded.make("eve", user::v1::ROLE_VIEWER));
  grpc::Status refused;
  CHECK(eventually([&] {
    refused = list_campaigns(bob);
    return !refused.ok();
  }));
  CHECK(refused.error_code() == StatusCode::RESOURCE_EXHAUSTED);
  const auto details = rpc::details_of(refused);
  CHECK(details.reason == "TOO_MANY_CALLS");
  REQUIRE(details.retry_delay);
  CHECK(*details.retry_delay <= milliseconds(1'000));
  CHECK(list_campaigns(eve).ok());  // Everybody has an own limit.
  CHECK(eventually([&] { return list_campaigns(bob).ok(); }));
  CHECK(metric_of(guarded, "rate") > 0);
  CHECK(metric_of(guarded, "role") == 0);
  ScriptedAgent agent(guarded.as(guarded.make("gpu-1", user::v1::ROLE_WORKER)),
                      agent::v1::AGENT_KIND_WORKER, "busy");
  for (int i = 0; i < 20; ++i) {
    agent::v1::SyncResponse response;
    CHECK(agent.sync(agent.make_sync(0), &response).ok());
  }
}

TEST_CASE("limits: a user has so many campaigns that have not ended",
          "[integration][coordinator]") {
  const Guarded guarded{.limits = "campaigns_per_user: 2\n"};
  User root(guarded.as(guarded.root));
  User bob(guarded.as(guarded.make("bob", user::v1::ROLE_USER)));
  User eve(guarded.as(guarded.make("eve", user::v1::ROLE_USER)));
  bob.create(bob.make_spec("one", 5));
  bob.create(bob.make_spec("two", 5));
  const auto third = bob.make_spec("three", 5);
  user::v1::Campaign campaign;
  const auto refused = bob.try_create(third, &campaign);
  CHECK(refused.error_code() == StatusCode::FAILED_PRECONDITION);
  CHECK(refused.error_message().find("campaigns_per_user") != std::string::npos);
  bob.create(bob.make_spec("two", 5));  // It is there already.
  eve.create(eve.make_spec("four", 5));
  for (const char* name : {"five", "six", "seven"}) root.create(root.make_spec(name, 5));
  bob.stop("one");
  CHECK(eventually([&] { return has_ended(bob.get("one").state()); }));
  CHECK(bob.try_create(third, &campaign).ok());
}
