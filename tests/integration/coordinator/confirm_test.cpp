#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/integration/coordinator/replay_check.hpp"

// A score that jumps is confirmed by another worker before it counts.

using namespace cambrian;
using namespace cambrian::test;

namespace {

using nlohmann::json;

constexpr milliseconds kLook{1'000};

spec::v1::CampaignSpec make_spec(User& user, const std::string& name, int evaluations) {
  auto spec = user.make_spec(name, evaluations);
  spec.mutable_evaluation()->clear_confirm_sigma();
  return spec;
}

/// A campaign whose seed has the score 1, evaluated by the service's worker.
void start(Service& service, const std::string& name, int evaluations = 10) {
  service.user.create(make_spec(service.user, name, evaluations));
  std::vector<agent::v1::Assignment> work;
  REQUIRE(eventually([&] {
    work = service.worker.claim(1, kLook);
    return !work.empty();
  }));
  REQUIRE(service.worker.finish(work.front().lease(), success(1)).ok());
}

/// The codegen client makes a variant, and the worker gives it this score. Returns its seed.
std::uint64_t make_variant(Service& service, ScriptedAgent& worker, double score) {
  const auto proposals = service.codegen.claim(1);
  REQUIRE(proposals.size() == 1);
  REQUIRE(service.codegen.finish(proposals.front().lease(), proposal_of(1)).ok());
  const auto work = worker.claim(1);
  REQUIRE(work.size() == 1);
  REQUIRE(worker.finish(work.front().lease(), success(score)).ok());
  return work.front().evaluation().seed();
}

std::vector<json> events_of(User& user, const std::string& name, const std::string& type) {
  std::vector<json> payloads;
  for (const auto& event : user.events(name)) {
    if (event.type() == type) payloads.push_back(json::parse(event.json()));
  }
  return payloads;
}

void wait_for_jump(User& user, const std::string& name, std::size_t jumps = 1) {
  REQUIRE(
      eventually([&] { return events_of(user, name, "confirmation_requested").size() == jumps; }));
}

std::map<std::string, std::int64_t> disputes_of(User& user) {
  user::v1::ListWorkersResponse response;
  grpc::ClientContext context;
  REQUIRE(user.workers().ListWorkers(&context, user::v1::ListWorkersRequest(), &response).ok());
  std::map<std::string, std::int64_t> disputes;
  for (const auto& one : response.workers()) {
    disputes[one.description().name()] = one.jumps_disputed();
  }
  return disputes;
}

user::v1::Variant settled_variant(User& user, const std::string& name, std::int64_t number) {
  user::v1::Variant variant;
  REQUIRE(eventually([&] {
    variant = user.variant(name, number);
    return variant.state() != user::v1::VARIANT_STATE_PENDING;
  }));
  return variant;
}

}  // namespace

TEST_CASE("coordinator: a jump counts when another worker confirms it with another seed",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto other = service.make_worker("other");
  CHECK(other.claim(1, milliseconds(0)).empty());  // Now it is connected.
  start(service, "jump");
  CHECK(user.get("jump").spec().evaluation().confirm_sigma() == 3);
  const auto seed = make_variant(service, service.worker, 5);
  wait_for_jump(user, "jump");
  const auto request = events_of(user, "jump", "confirmation_requested").front();
  CHECK(request.at("variant") == 1);
  CHECK(request.at("score") == 5);
  CHECK(request.at("best_score") == 1);
  CHECK(request.at("sigma") == 0);
  CHECK(user.get("jump").best_variant() == 0);
  CHECK(user.variant("jump", 1).state() == user::v1::VARIANT_STATE_PENDING);

  CHECK(service.worker.claim(1, kLook).empty());  // It was the first one.
  const auto work = other.claim(1);
  REQUIRE(work.size() == 1);
  CHECK(work.front().evaluation().seed() != seed);
  CHECK(work.front().evaluation().split() == agent::v1::SPLIT_VALIDATION);
  REQUIRE(other.finish(work.front().lease(), success(4.5)).ok());
  const auto variant = settled_variant(user, "jump", 1);
  CHECK(variant.score() == 5);
  CHECK(variant.confirmation() == user::v1::CONFIRMATION_CONFIRMED);
  CHECK(variant.jump_score() == 5);
  CHECK(variant.second_score() == 4.5);
  REQUIRE(variant.evaluations_size() == 2);
  CHECK_FALSE(variant.evaluations(0).is_confirmation());
  CHECK(variant.evaluations(1).is_confirmation());
  CHECK(variant.evaluations(1).agent() == "other");
  const auto campaign = user.get("jump");
  CHECK(campaign.best_variant() == 1);
  CHECK(campaign.best_score() == 5);
  CHECK(campaign.jumps().confirmed() == 1);
  CHECK(campaign.jumps().disputed() == 0);
  CHECK(campaign.consumption().evaluations() == 3);
  const auto again = events_of(user, "jump", "evaluation_finished").back();
  CHECK(again.at("is_confirmation") == true);
  CHECK(again.at("is_same_worker") == false);
}

TEST_CASE("coordinator: the jumps of a worker that lies are disputed, and seen at it",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto liar = service.make_worker("liar");
  CHECK(liar.claim(1, milliseconds(0)).empty());
  start(service, "lies", 12);
  for (int variant = 1; variant <= 2; ++variant) {
    make_variant(service, liar, 100);
    wait_for_jump(user, "lies", static_cast<std::size_t>(variant));
    CHECK(liar.claim(1, kLook).empty());
    const auto work = service.worker.claim(1);
    REQUIRE(work.size() == 1);
    if (variant == 1) {
      REQUIRE(service.worker.finish(work.front().lease(), success(1.5)).ok());
    } else {
      const auto broken = failure(agent::v1::EVALUATION_OUTCOME_CRASH);
      REQUIRE(service.worker.finish(work.front().lease(), broken).ok());
    }
    settled_variant(user, "lies", variant);
  }
  const auto first = user.variant("lies", 1);
  CHECK(first.state() == user::v1::VARIANT_STATE_EVALUATED);
  CHECK(first.confirmation() == user::v1::CONFIRMATION_DISPUTED);
  CHECK(first.score() == 1.5);
  CHECK(first.jump_score() == 100);
  CHECK(first.second_score() == 1.5);
  const auto second = user.variant("lies", 2);
  CHECK(second.state() == user::v1::VARIANT_STATE_FAILED);
  CHECK(second.confirmation() == user::v1::CONFIRMATION_DISPUTED);
  CHECK_FALSE(second.has_second_score());
  const auto campaign = user.get("lies");
  CHECK(campaign.best_variant() == 0);
  CHECK(campaign.jumps().disputed() == 2);
  const auto settled = events_of(user, "lies", "variant_settled");
  CHECK(settled.at(1).at("confirmation") == "disputed");
  CHECK(settled.at(1).at("jump_score") == 100);
  CHECK_FALSE(settled.at(0).contains("confirmation"));
  CHECK(fetch_metrics(service.coordinator.metrics_address())
            .find("cambrian_coordinator_jumps_total{confirmation=\"disputed\"} 2") !=
        std::string::npos);

  // Whoever confirms, it is seen at the one whose scores are disputed.
  auto third = service.make_worker("third");
  CHECK(third.claim(1, milliseconds(0)).empty());
  make_variant(service, liar, 100);
  wait_for_jump(user, "lies", 3);
  const auto work = third.claim(1);
  REQUIRE(work.size() == 1);
  REQUIRE(third.finish(work.front().lease(), success(1)).ok());
  settled_variant(user, "lies", 3);
  CHECK(disputes_of(user) == std::map<std::string, std::int64_t>{
                                 {"codegen", 0}, {"liar", 3}, {"third", 0}, {"worker", 0}});
}

TEST_CASE("coordinator: without another worker the same one confirms, and the log says so",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto other = service.make_worker("other");
  const bool is_there = GENERATE(true, false);
  if (is_there) {
    CHECK(other.claim(1, milliseconds(0)).empty());
  }
  start(service, "alone");
  make_variant(service, service.worker, 5);
  wait_for_jump(user, "alone");
  if (is_there) {
    CHECK(service.worker.claim(1, kLook).empty());
    // The other one is connected, and does not come for too long.
    query_number(service.database,
                 "WITH old AS (UPDATE work_item SET created_at = now() - interval '121 seconds'"
                 " WHERE other_than IS NOT NULL RETURNING 1) SELECT count(*) FROM old");
  }
  const auto work = service.worker.claim(1);
  REQUIRE(work.size() == 1);
  REQUIRE(service.worker.finish(work.front().lease(), success(5)).ok());
  CHECK(settled_variant(user, "alone", 1).confirmation() == user::v1::CONFIRMATION_CONFIRMED);
  CHECK(events_of(user, "alone", "evaluation_finished").back().at("is_same_worker") == true);
  const auto events = user.events("alone");
  CHECK(std::ranges::any_of(events, [](const auto& event) {
    return event.message() == "variant 1 evaluated again, by the same worker: success";
  }));
}

TEST_CASE("coordinator: a worker that is lost or cannot do it is not waited for",
          "[integration][coordinator]") {
  Service service;
  auto other = service.make_worker("other");
  CHECK(other.claim(1, milliseconds(0)).empty());
  start(service, "lost");
  SECTION("lost") {
    query_number(service.database,
                 "WITH gone AS (UPDATE agent SET last_sync_at = now() - interval '2 minutes'"
                 " WHERE name = 'other' RETURNING 1) SELECT count(*) FROM gone");
  }
  SECTION("another runtime") {
    query_number(service.database,
                 "WITH gone AS (UPDATE agent SET description = description ||"
                 " '{\"runtimes\": [\"process\"]}' WHERE name = 'other' RETURNING 1)"
                 " SELECT count(*) FROM gone");
  }
  SECTION("draining") {
    query_number(service.database,
                 "WITH gone AS (UPDATE agent SET should_drain = true WHERE name = 'other'"
                 " RETURNING 1) SELECT count(*) FROM gone");
  }
  make_variant(service, service.worker, 5);
  wait_for_jump(service.user, "lost");
  CHECK(service.worker.claim(1).size() == 1);
}

TEST_CASE("coordinator: campaigns with jumps keep their budget, over crashes, and replay",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto other = service.make_worker("other");
  auto spec = make_spec(user, "whole", 30);
  spec.mutable_evaluation()->set_confirm_sigma(0.5);
  user.create(spec);
  for (int round = 0; round < 2; ++round) {
    REQUIRE(eventually([&] {
      work_once(service.worker, service.codegen);
      work_once(other, service.codegen);
      return query_number(service.database,
                          "SELECT count(*) FROM evaluation WHERE outcome IS NOT NULL") >
             10 * round + 4;
    }));
    service.crash_and_restart();
    other.use(service.coordinator.channel());
  }
  REQUIRE(eventually([&] {
    work_once(service.worker, service.codegen);
    work_once(other, service.codegen);
    return query_number(service.database,
                        "SELECT count(*) FROM campaign WHERE ended_at IS NOT NULL") > 0;
  }));
  const auto campaign = user.get("whole");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_SUCCEEDED);
  CHECK(campaign.consumption().evaluations() == 30);
  const auto requests = events_of(user, "whole", "confirmation_requested").size();
  CHECK(requests > 0);
  CHECK(campaign.jumps().confirmed() + campaign.jumps().disputed() ==
        static_cast<std::int64_t>(requests));
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM evaluation e JOIN evaluation o USING (campaign_id,"
                     " variant) WHERE e.is_confirmation AND NOT o.is_confirmation"
                     " AND NOT o.is_final AND (e.seed = o.seed OR e.agent_name = o.agent_name)") ==
        0);
  check_replay(user, "whole");
}
