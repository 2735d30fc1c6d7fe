#include <signal.h>

#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "tests/integration/coordinator/fixture.hpp"
#include "tests/support/postgres.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

constexpr milliseconds kLease{3'000};

/// Answers of agents that called at once, and how long the slowest took.
struct Answers {
  int unavailable = 0;
  int with_delay = 0;
  milliseconds slowest{0};
};

Answers call_at_once(Service& service, int count) {
  Answers answers;
  std::mutex mutex;
  std::vector<std::thread> calls;
  for (int i = 0; i < count; ++i) {
    calls.emplace_back([&] {
      auto worker = service.make_worker("caller");
      agent::v1::SyncResponse response;
      const auto begin = std::chrono::steady_clock::now();
      const auto status = worker.sync(worker.make_sync(1), &response);
      const std::lock_guard lock(mutex);
      answers.slowest = std::max(answers.slowest, std::chrono::duration_cast<milliseconds>(
                                                      std::chrono::steady_clock::now() - begin));
      if (status.error_code() == grpc::StatusCode::UNAVAILABLE) ++answers.unavailable;
      if (rpc::details_of(status).retry_delay) ++answers.with_delay;
    });
  }
  for (auto& call : calls) call.join();
  return answers;
}

/// The agent renews its lease. True when it still has it.
bool renew(ScriptedAgent& worker, const agent::v1::Lease& lease) {
  auto request = worker.make_sync(0);
  *request.add_running()->mutable_lease() = lease;
  agent::v1::SyncResponse response;
  return eventually([&] { return worker.sync(request, &response).ok(); }) &&
         response.cancelled().empty();
}

std::int64_t lost_attempts(const Service& service) {
  return query_number(service.database,
                      "SELECT count(*) FROM attempt WHERE outcome IN ('lost', 'dropped')");
}

}  // namespace

TEST_CASE("outage: a database that hangs holds nobody up for ever, and costs no lease",
          "[integration][coordinator]") {
  PrivatePostgres postgres;
  Service service({.database = postgres.make_database(), .lease = kLease});
  const auto seed = service.start_and_claim_seed("hung", 6);
  postgres.freeze();
  // Far more calls than connections: those that wait for a thread are answered like the others.
  const auto answers = call_at_once(service, 40);
  CHECK(answers.unavailable == 40);
  CHECK(answers.with_delay == 40);
  CHECK(answers.slowest < milliseconds(15'000));  // After which an agent gives its call up.
  postgres.thaw();
  // The agent could not renew for several times its lease, and needs a moment to come back.
  std::this_thread::sleep_for(kLease / 2);
  CHECK(renew(service.worker, seed.lease()));
  CHECK(service.worker.finish(seed.lease(), success(1)).ok());
  CHECK(lost_attempts(service) == 0);
  CHECK(work_until_ended(service.user, "hung", service.worker, service.codegen));
}

TEST_CASE("outage: a coordinator that was suspended does not blame the agents",
          "[integration][coordinator]") {
  Service service({.lease = kLease});
  const auto seed = service.start_and_claim_seed("suspended", 6);
  // Leases end again after the start: another agent falls silent with its item.
  for (int i = 0; i < 5; ++i) {
    CHECK(renew(service.worker, seed.lease()));
    std::this_thread::sleep_for(kLease / 3);
  }
  ::kill(service.coordinator.pid(), SIGSTOP);
  std::this_thread::sleep_for(kLease * 3);
  ::kill(service.coordinator.pid(), SIGCONT);
  std::this_thread::sleep_for(kLease / 2);
  CHECK(renew(service.worker, seed.lease()));
  CHECK(lost_attempts(service) == 0);
  // The grace ends: who stays silent loses the lease.
  CHECK(eventually([&] { return lost_attempts(service) == 1; }, milliseconds(30'000)));
}

TEST_CASE("outage: SIGTERM ends a coordinator whose database hangs", "[integration][coordinator]") {
  PrivatePostgres postgres;
  Service service({.database = postgres.make_database(), .shutdown_grace = milliseconds(1'500)});
  service.start_and_claim_seed("stuck", 6);
  postgres.freeze();
  std::thread calls([&] { CHECK(call_at_once(service, 8).unavailable == 8); });
  std::this_thread::sleep_for(milliseconds(300));
  const auto begin = std::chrono::steady_clock::now();
  CHECK(service.coordinator.terminate(milliseconds(15'000)) == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(8));
  calls.join();
  postgres.thaw();
}
