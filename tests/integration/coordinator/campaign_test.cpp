#include <catch2/catch_test_macros.hpp>

#include "tests/integration/coordinator/fixture.hpp"
#include "tests/support/postgres.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

/// A coordinator with an empty database, and everybody who talks to it.
struct Service {
  std::string database = PrivatePostgres::shared().make_database();
  CoordinatorProcess coordinator{{.database = database}};
  User user{coordinator.channel()};
  ScriptedAgent worker{coordinator.channel(), agent::v1::AGENT_KIND_WORKER, "worker"};
  ScriptedAgent codegen{coordinator.channel(), agent::v1::AGENT_KIND_CODEGEN, "codegen"};
};

}  // namespace

TEST_CASE("coordinator: a campaign makes exactly its evaluations and ends",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  const auto created = user.create(user.make_spec("first", 12));
  CHECK(created.state() == user::v1::CAMPAIGN_STATE_RUNNING);
  CHECK(created.spec().codegen().output_tokens() == 4096);
  REQUIRE(work_until_ended(user, "first", service.worker, service.codegen));

  const auto campaign = user.get("first");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_SUCCEEDED);
  CHECK(campaign.end_reason() == user::v1::END_REASON_EVALUATIONS);
  CHECK(campaign.consumption().evaluations() == 12);
  CHECK(campaign.consumption().evaluations_failed() == 0);
  CHECK(campaign.evaluations_open() == 0);
  CHECK(campaign.proposals_open() == 0);
  CHECK(campaign.has_end_time());
  CHECK(campaign.has_seed_score());
  CHECK(campaign.best_score() >= campaign.seed_score());
  CHECK(campaign.final_seed().validation().at("score").values_size() == 2);
  CHECK(campaign.final_best().sealed().at("score").values_size() == 2);

  const auto variants = user.variants("first");
  CHECK(variants.size() == 12);
  for (const auto& variant : variants) CHECK(variant.state() == user::v1::VARIANT_STATE_EVALUATED);

  const auto events = user.events("first");
  REQUIRE(!events.empty());
  CHECK(events.front().type() == "campaign_created");
  CHECK(events.back().type() == "phase_changed");
  for (std::size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].sequence() == static_cast<std::int64_t>(i) + 1);
  }
  CHECK(campaign.last_sequence() == static_cast<std::int64_t>(events.size()));
}
