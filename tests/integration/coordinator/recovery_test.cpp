#include <signal.h>

#include <catch2/catch_test_macros.hpp>
#include <mutex>
#include <thread>

#include "tests/integration/coordinator/commit_proxy.hpp"
#include "tests/integration/coordinator/fixture.hpp"
#include "tests/support/postgres.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

/// Only a failure waits so long, however slow the machine is.
constexpr std::chrono::seconds kPatience{240};

/// Looks whether a coordinator drives the only campaign: drivers are named by their process.
bool drives(const std::string& database, pid_t coordinator) {
  return query_number(database, "SELECT count(*) FROM campaign WHERE driver_id LIKE '" +
                                    std::to_string(coordinator) + "-%'") == 1;
}

/// Nothing lost, nothing twice: as the user sees it and as the rows say.
void check_exact(Service& service, const std::string& name, int evaluations) {
  const auto campaign = service.user.get(name);
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_SUCCEEDED);
  CHECK(campaign.consumption().evaluations() == evaluations);
  CHECK(campaign.consumption().final_evaluations() == 8);
  CHECK(campaign.evaluations_open() == 0);
  CHECK(
      query_number(service.database,
                   "SELECT count(*) FROM evaluation WHERE NOT is_final AND outcome IS NOT NULL") ==
      evaluations);
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM event WHERE type = 'evaluation_finished'") ==
        evaluations + 8);
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM work_item WHERE state IN ('ready', 'leased')") == 0);
  CHECK(query_number(service.database, "SELECT max(sequence) - count(*) FROM event") == 0);
  CHECK(query_number(service.database,
                     "SELECT count(*) FROM (SELECT item_id FROM attempt WHERE is_counted"
                     " GROUP BY item_id HAVING count(*) > 1) twice") == 0);
}

}  // namespace

TEST_CASE("recovery: a coordinator killed again and again loses nothing and counts nothing twice",
          "[integration][coordinator]") {
  Service service({.lease = milliseconds(2'000)});
  constexpr int kEvaluations = 24;
  service.user.create(service.user.make_spec("killed", kEvaluations));
  int finished = 0;
  int kills = 0;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    finished += work_once(service.worker, service.codegen);
    if (kills < 4 && finished >= 8 * (kills + 1)) {
      ++kills;
      service.crash_and_restart();
    }
    if (has_ended(service.user.get("killed").state())) break;
  }
  CHECK(kills == 4);
  check_exact(service, "killed", kEvaluations);
}

TEST_CASE("recovery: a kill in the middle of reports never splits a result from its event",
          "[integration][coordinator]") {
  Service service({.lease = milliseconds(2'000)});
  constexpr int kEvaluations = 16;
  auto spec = service.user.make_spec("split", kEvaluations);
  service.user.create(spec);
  std::mutex mutex;  // Guards channel: the process that is there now.
  const auto first = service.coordinator.channel();
  auto channel = first;
  // Reports go on while the process dies: some answers are lost after the commit.
  std::jthread agents([&](const std::stop_token& stop) {
    std::shared_ptr<grpc::Channel> used = first;
    ScriptedAgent worker(used, agent::v1::AGENT_KIND_WORKER, "busy");
    ScriptedAgent codegen(used, agent::v1::AGENT_KIND_CODEGEN, "busy");
    while (!stop.stop_requested()) {
      {
        const std::lock_guard lock(mutex);
        if (used != channel) {
          used = channel;
          worker.use(used);
          codegen.use(used);
        }
      }
      work_once(worker, codegen, milliseconds(100));
    }
  });
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(milliseconds(120));
    service.crash_and_restart();
    const std::lock_guard lock(mutex);
    channel = service.coordinator.channel();
  }
  const bool has_finished =
      eventually([&] { return has_ended(service.user.get("split").state()); }, kPatience);
  agents.request_stop();
  agents.join();
  REQUIRE(has_finished);
  check_exact(service, "split", kEvaluations);
}

TEST_CASE("recovery: two coordinators share one database, and one goes on for the other",
          "[integration][coordinator]") {
  Service service;
  constexpr int kEvaluations = 24;
  auto second =
      std::make_unique<CoordinatorProcess>(CoordinatorOptions{.database = service.database});
  service.codegen.use(second->channel());
  service.user.create(service.user.make_spec("shared", kEvaluations));
  const auto work_until = [&](int count) {
    int finished = 0;
    return eventually(
        [&] { return (finished += work_once(service.worker, service.codegen)) >= count; });
  };
  REQUIRE(work_until(10));
  // Which one drives is left to chance, and one that was held up may lose it to the other: as long
  // as it is the second, it does not matter that the first one goes.
  const bool is_first = drives(service.database, service.coordinator.pid());
  const auto first_pid = service.coordinator.pid();
  const auto epoch = query_number(service.database, "SELECT driver_epoch FROM campaign");
  CHECK(service.coordinator.terminate(milliseconds(15'000)) == 0);
  // SIGTERM gives the campaign back: nobody has to wait until the lease of a dead one has expired.
  CHECK_FALSE(drives(service.database, first_pid));
  service.worker.use(second->channel());
  service.user.use(second->channel());
  REQUIRE(work_until(6));
  CHECK(drives(service.database, second->pid()));
  CHECK(query_number(service.database, "SELECT driver_epoch FROM campaign") >=
        epoch + (is_first ? 1 : 0));
  // A dead one holds it for as long as its lease.
  service.coordinator.start();
  service.user.use(service.coordinator.channel());
  service.worker.use(service.coordinator.channel());
  service.codegen.use(service.coordinator.channel());
  second.reset();
  REQUIRE(work_until_ended(service.user, "shared", service.worker, service.codegen));
  check_exact(service, "shared", kEvaluations);
  CHECK(query_number(service.database, "SELECT driver_epoch FROM campaign") > epoch);
}

TEST_CASE("recovery: a database that restarts or crashes is waited for",
          "[integration][coordinator]") {
  PrivatePostgres postgres;
  Service service({.database = postgres.make_database(), .lease = milliseconds(3'000)});
  const auto seed = service.start_and_claim_seed("outage", 12);
  for (const bool is_crash : {false, true}) {
    if (is_crash) {
      postgres.crash();
    } else {
      postgres.stop();
    }
    const auto status = service.worker.finish(seed.lease(), success(1));
    CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
    CHECK(rpc::details_of(status).retry_delay.has_value());
    CHECK_THROWS(service.user.get("outage"));
    postgres.start();
    CHECK(eventually([&] { return service.worker.finish(seed.lease(), success(1)).ok(); }));
  }
  REQUIRE(work_until_ended(service.user, "outage", service.worker, service.codegen));
  check_exact(service, "outage", 12);
}

TEST_CASE("recovery: a database that forgets acknowledged commits is followed",
          "[integration][coordinator]") {
  PrivatePostgres postgres;
  Service service({.database = postgres.make_database(), .lease = milliseconds(1'500)});
  service.user.register_task();
  // A crash loses up to a second of commits then, as a failover to a lagging replica does.
  postgres.stop();
  postgres.set("synchronous_commit=off");
  postgres.start();
  service.start_and_claim_seed("forgetful", 12);
  for (int round = 0; round < 3; ++round) {
    const auto deadline = std::chrono::steady_clock::now() + milliseconds(700);
    while (std::chrono::steady_clock::now() < deadline) {
      work_once(service.worker, service.codegen, milliseconds(50));
    }
    postgres.crash();
    postgres.start();
  }
  REQUIRE(eventually([&] { return query_number(service.database, "SELECT 1") == 1; }));
  REQUIRE(work_until_ended(service.user, "forgetful", service.worker, service.codegen));
  check_exact(service, "forgetful", 12);
}

TEST_CASE("recovery: commits whose answers are lost are read back, not repeated",
          "[integration][coordinator]") {
  const auto database = PrivatePostgres::shared().make_database();
  CommitProxy proxy(database, 9);
  Service service({.database = proxy.connection(), .lease = milliseconds(2'000)});
  // The test itself asks the server directly.
  service.database = database;
  CHECK(eventually([&] {
    user::v1::Campaign campaign;
    return service.user.try_create(service.user.make_spec("doubtful", 16), &campaign).ok();
  }));
  int finished = 0;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (finished < 40 && std::chrono::steady_clock::now() < deadline) {
    finished += work_once(service.worker, service.codegen);
    if (query_number(database, "SELECT count(*) FROM campaign WHERE ended_at IS NOT NULL") == 1) {
      break;
    }
  }
  INFO("answers lost: " << proxy.answers_lost());
  CHECK(proxy.answers_lost() > 10);
  proxy.be_kind();
  REQUIRE(work_until_ended(service.user, "doubtful", service.worker, service.codegen));
  check_exact(service, "doubtful", 16);
}

TEST_CASE("recovery: a deletion whose answer is lost is not denied", "[integration][coordinator]") {
  const auto database = PrivatePostgres::shared().make_database();
  CommitProxy proxy(database, 2);
  Service service({.database = proxy.connection()});
  auto& user = service.user;
  std::string digest;
  CHECK(eventually([&] {
    try {
      digest = user.register_task();
    } catch (const std::runtime_error&) {
    }
    return !digest.empty();
  }));
  for (int i = 0; i < 6; ++i) {
    const auto name = "gone-" + std::to_string(i);
    user::v1::Campaign campaign;
    REQUIRE(eventually([&] { return user.try_create(user.make_spec(name, 5), &campaign).ok(); }));
    query_number(database,
                 "UPDATE campaign SET state = 'stopped' WHERE name = '" + name + "' RETURNING id");
    grpc::Status status;
    REQUIRE(eventually([&] {
      status = user.remove(name, "request");
      return !rpc::is_retryable(status.error_code());
    }));
    INFO(status.error_message());
    CHECK(status.ok());
  }
  CHECK(proxy.answers_lost() > 0);
}

TEST_CASE("recovery: SIGTERM ends a coordinator with a hundred open calls",
          "[integration][coordinator]") {
  Service service;
  service.start_and_claim_seed("long");
  std::vector<std::thread> calls;
  std::atomic<int> answered = 0;
  std::atomic<int> ended = 0;
  for (int i = 0; i < 100; ++i) {
    calls.emplace_back([&] {
      auto worker = service.make_worker("idle");
      agent::v1::SyncResponse response;
      if (worker.sync(worker.make_sync(1, milliseconds(30'000)), &response).ok()) ++answered;
    });
  }
  for (int i = 0; i < 20; ++i) {
    calls.emplace_back([&] {
      user::v1::WatchEventsRequest request;
      request.set_campaign("long");
      grpc::ClientContext context;
      const auto reader = service.user.campaigns().WatchEvents(&context, request);
      user::v1::WatchEventsResponse response;
      while (reader->Read(&response)) {
      }
      if (reader->Finish().error_code() == grpc::StatusCode::UNAVAILABLE) ++ended;
    });
  }
  CHECK(eventually([&] {
    return query_number(service.database, "SELECT count(*) FROM agent WHERE name = 'idle'") == 100;
  }));
  std::this_thread::sleep_for(milliseconds(300));
  // The calls end by themselves, and not because the grace is over.
  const auto begin = std::chrono::steady_clock::now();
  CHECK(service.coordinator.terminate(milliseconds(15'000)) == 0);
  CHECK(std::chrono::steady_clock::now() - begin < CoordinatorOptions().shutdown_grace);
  for (auto& call : calls) call.join();
  CHECK(answered == 100);
  CHECK(ended == 20);
  CHECK(query_number(service.database, "SELECT count(*) FROM campaign WHERE driver_id IS NULL") ==
        1);
}

TEST_CASE("recovery: a changed migration stops the start", "[integration][coordinator]") {
  const auto database = PrivatePostgres::shared().make_database();
  {
    CoordinatorProcess first({.database = database});
  }
  {
    CoordinatorProcess again({.database = database});
  }
  query_number(database,
               "UPDATE schema_migration SET sha256 = repeat('0', 64) WHERE version = 1"
               " RETURNING version");
  const auto ended = run_coordinator(
      {"--database", database, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"});
  CHECK(ended.exit_code == 1);
  INFO(ended.output);
  CHECK(ended.output.find("another checksum") != std::string::npos);
  CHECK(ended.output.find("0001_create_schema") != std::string::npos);
}

TEST_CASE("recovery: a start that cannot be says why in one line", "[integration][coordinator]") {
  const auto open = run_coordinator({"--database", "dbname=x", "--listen", "0.0.0.0:0"});
  CHECK(open.exit_code == 2);
  CHECK(open.output.find("not a loopback address") != std::string::npos);
  const auto without = run_coordinator({"--listen", "127.0.0.1:0"});
  CHECK(without.exit_code == 2);
  CHECK(without.output.find("--database") != std::string::npos);
  const auto unknown = run_coordinator({"--databse", "dbname=x"});
  CHECK(unknown.exit_code == 2);
  const auto absent = run_coordinator({"--database", "host=/nonexistent dbname=x", "--listen",
                                       "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"});
  INFO(absent.output);
  CHECK(absent.exit_code == 1);
  CHECK(absent.output.find("no connection to PostgreSQL") != std::string::npos);
}
