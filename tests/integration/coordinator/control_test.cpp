#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <thread>

#include "tests/integration/coordinator/replay_check.hpp"

// Workers evaluate the seed now and then, and who is off gets no more work.

using namespace cambrian;
using namespace cambrian::test;

namespace {

constexpr milliseconds kLook{300};

/// Three workers, the third of which adds a lie to every score.
class Fleet {
 public:
  explicit Fleet(Service& service) : service_(service) {
    workers_.push_back(service.make_worker("alfa"));
    workers_.push_back(service.make_worker("bravo"));
    workers_.push_back(service.make_worker("liar"));
    for (auto& worker : workers_) CHECK(worker.claim(1, milliseconds(0)).empty());
  }

  ScriptedAgent& liar() { return workers_.back(); }

  /// Every worker looks for work once, in turn. Returns how many evaluations were made.
  int look(double lie) {
    for (const auto& assignment : service_.codegen.claim(4, milliseconds(0))) {
      const auto variants = assignment.proposal().variants();
      REQUIRE(service_.codegen.finish(assignment.lease(), proposal_of(variants)).ok());
    }
    int made = 0;
    for (auto& worker : workers_) {
      for (const auto& assignment : worker.claim(1, kLook)) {
        const double own = &worker == &workers_.back() ? lie : 0;
        REQUIRE(worker
                    .finish(assignment.lease(), success(score_of(assignment.evaluation()) + own))
                    .ok());
        ++made;
      }
    }
    return made;
  }

 private:
  Service& service_;
  std::vector<ScriptedAgent> workers_;
};

std::map<std::string, user::v1::Worker> workers_of(User& user) {
  user::v1::ListWorkersResponse response;
  grpc::ClientContext context;
  REQUIRE(user.workers().ListWorkers(&context, user::v1::ListWorkersRequest(), &response).ok());
  std::map<std::string, user::v1::Worker> workers;
  for (const auto& one : response.workers()) workers[one.description().name()] = one;
  return workers;
}

bool is_quarantined(User& user, const std::string& name) {
  return workers_of(user).at(name).state() == user::v1::WORKER_STATE_QUARANTINED;
}

std::int64_t controls_made(const Service& service) {
  return query_number(service.database,
                      "SELECT count(*) FROM evaluation WHERE is_control AND outcome IS NOT NULL");
}

grpc::Status release(User& user, const std::string& name) {
  user::v1::ReleaseWorkerRequest request;
  request.set_worker(name);
  user::v1::ReleaseWorkerResponse response;
  grpc::ClientContext context;
  return user.workers().ReleaseWorker(&context, request, &response);
}

}  // namespace

TEST_CASE("coordinator: a worker whose controls are off gets no more work until it is released",
          "[integration][coordinator]") {
  Service service({.more_config = "control_interval: 1s\n"});
  auto& user = service.user;
  Fleet fleet(service);
  user.create(user.make_spec("night", 2'000));
  REQUIRE(eventually([&] {
    fleet.look(50);
    return is_quarantined(user, "liar");
  }));
  const auto workers = workers_of(user);
  CHECK(workers.at("alfa").state() == user::v1::WORKER_STATE_ALIVE);
  CHECK(workers.at("bravo").state() == user::v1::WORKER_STATE_ALIVE);
  CHECK(workers.at("alfa").quarantine_evidence().empty());
  const auto& evidence = workers.at("liar").quarantine_evidence();
  CHECK(evidence.starts_with("the seed of night has score "));
  CHECK(evidence.ends_with(", twice in a row"));

  // There is work, and the liar gets none, under whatever id it comes.
  fleet.look(50);
  auto again = service.make_worker("liar");
  CHECK(again.claim(1, kLook).empty());
  CHECK(fleet.liar().claim(1, kLook).empty());
  CHECK(fleet.look(50) == 2);
  CHECK(fetch_metrics(service.coordinator.metrics_address())
            .find("cambrian_coordinator_agents{kind=\"worker\",state=\"quarantined\"}") !=
        std::string::npos);

  CHECK(release(user, "alfa").error_code() == grpc::StatusCode::NOT_FOUND);
  REQUIRE(release(user, "liar").ok());
  CHECK(workers_of(user).at("liar").quarantine_evidence().empty());
  CHECK(eventually([&] { return fleet.look(0) == 3; }));
  // Honest now, it stays.
  const auto before = controls_made(service);
  REQUIRE(eventually([&] {
    fleet.look(0);
    return controls_made(service) >= before + 6;
  }));
  CHECK_FALSE(is_quarantined(user, "liar"));
}

TEST_CASE("coordinator: controls are no evaluations of the search", "[integration][coordinator]") {
  Service service({.more_config = "control_interval: 1s\n"});
  auto& user = service.user;
  Fleet fleet(service);
  constexpr int kEvaluations = 60;
  user.create(user.make_spec("counted", kEvaluations));
  REQUIRE(eventually([&] {
    // In the pace of the controls: the campaign must not end before any was due.
    fleet.look(0);
    std::this_thread::sleep_for(milliseconds(100));
    return has_ended(user.get("counted").state());
  }));
  CHECK(controls_made(service) >= 3);
  const auto campaign = user.get("counted");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_SUCCEEDED);
  CHECK(campaign.consumption().evaluations() == kEvaluations);
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM evaluation WHERE NOT is_control AND NOT is_final"
                     " AND outcome IS NOT NULL") == kEvaluations);
  // Its own, and the finals of two repeats on two splits.
  CHECK(user.variant("counted", 0).evaluations_size() == 5);
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM work_item WHERE state IN ('ready', 'leased')") == 0);
  check_replay(user, "counted");
}
