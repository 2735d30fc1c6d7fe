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
// A coordinator compares every 5 s, and some controls must have come in before.
constexpr milliseconds kPatience{180'000};

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
        REQUIRE(worker.finish(assignment.lease(), success(score_of(assignment.evaluation()) + own))
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
  REQUIRE(eventually(
      [&] {
        fleet.look(50);
        return is_quarantined(user, "liar");
      },
      kPatience));
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
  CHECK(eventually([&] { return fleet.look(50) == 2; }));
  CHECK(eventually([&] {
    return fetch_metrics(service.coordinator.metrics_address())
               .find("cambrian_coordinator_agents{kind=\"worker\",state=\"quarantined\"} 2\n") !=
           std::string::npos;
  }));

  CHECK(release(user, "alfa").error_code() == grpc::StatusCode::NOT_FOUND);
  REQUIRE(release(user, "liar").ok());
  CHECK(workers_of(user).at("liar").quarantine_evidence().empty());
  CHECK(eventually([&] { return fleet.look(0) == 3; }));
  // Honest now, it stays.
  const auto judged = [&] {
    return query_number(service.database, "SELECT judged FROM control WHERE worker = 'liar'");
  };
  const auto before = judged();
  REQUIRE(eventually(
      [&] {
        fleet.look(0);
        return judged() > before;
      },
      kPatience));
  CHECK_FALSE(is_quarantined(user, "liar"));

  user.stop("night");
  REQUIRE(eventually([&] {
    fleet.look(0);
    return has_ended(user.get("night").state());
  }));
  REQUIRE(user.remove("night").ok());
  CHECK(eventually(
      [&] { return query_number(service.database, "SELECT count(*) FROM control") == 0; }));
}

TEST_CASE("coordinator: what a worker holds when it comes into quarantine goes to others",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto liar = service.make_worker("liar");
  user.create(user.make_spec("taken", 5));
  std::vector<agent::v1::Assignment> work;
  REQUIRE(eventually([&] {
    work = liar.claim(1, kLook);
    return !work.empty();
  }));
  query_number(service.database,
               "WITH put AS (INSERT INTO quarantine (worker, evidence) VALUES ('liar', 'a test')"
               " RETURNING 1) SELECT count(*) FROM put");
  auto taken = service.worker.claim(1);
  REQUIRE(taken.size() == 1);
  CHECK(taken.front().lease().item_id() == work.front().lease().item_id());
  CHECK(taken.front().lease().epoch() == work.front().lease().epoch() + 1);
  CHECK(is_lease_lost(liar.finish(work.front().lease(), success(9))));
  CHECK(service.worker.finish(taken.front().lease(), success(1)).ok());
}

TEST_CASE("coordinator: a worker that waits for work gets none once it is in quarantine",
          "[integration][coordinator]") {
  Service service;
  auto& user = service.user;
  auto liar = service.make_worker("liar");
  agent::v1::SyncResponse response;
  grpc::Status status;
  std::thread waiting(
      [&] { status = liar.sync(liar.make_sync(1, milliseconds(5'000)), &response); });
  CHECK(eventually([&] { return workers_of(user).contains("liar"); }));
  query_number(service.database,
               "WITH put AS (INSERT INTO quarantine (worker, evidence) VALUES ('liar', 'a test')"
               " RETURNING 1) SELECT count(*) FROM put");
  user.create(user.make_spec("waited", 5));
  waiting.join();
  CHECK(status.ok());
  CHECK(response.assignments().empty());
  CHECK(service.worker.claim(1).size() == 1);
}

TEST_CASE("coordinator: controls are no evaluations of the search", "[integration][coordinator]") {
  Service service({.more_config = "control_interval: 1s\n"});
  auto& user = service.user;
  Fleet fleet(service);
  constexpr int kEvaluations = 100;
  user.create(user.make_spec("counted", kEvaluations));
  REQUIRE(eventually([&] {
    // In the pace of the controls: the campaign must not end before any was due.
    fleet.look(0);
    std::this_thread::sleep_for(milliseconds(100));
    return has_ended(user.get("counted").state());
  }));
  CHECK(controls_made(service) >= 1);
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
