#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <memory>

#include "common/rpc/security.hpp"
#include "coordinator/journal/replay.hpp"
#include "tests/integration/coordinator/fixture.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

using Clock = std::chrono::steady_clock;

/// A driver that died holds its campaigns for four seconds; others look every second.
constexpr milliseconds kTakeOverMax{10'000};

std::shared_ptr<grpc::Channel> channel_to(const std::string& addresses) {
  auto channel = rpc::make_channel(addresses, rpc::ChannelSecurity{});
  REQUIRE(channel);
  return *channel;
}

/// A second coordinator beside that of the service, and everybody knows both.
struct Pair {
  explicit Pair(milliseconds lease = milliseconds(60'000))
      : service({.lease = lease}),
        second(std::make_unique<CoordinatorProcess>(
            CoordinatorOptions{.database = service.database, .lease = lease})) {
    addresses = service.coordinator.address() + "," + second->address();
    service.worker.use(channel_to(addresses));
    service.codegen.use(channel_to(addresses));
    service.user.use(channel_to(addresses));
  }

  bool drives(const CoordinatorProcess& coordinator) {
    return query_number(service.database, "SELECT count(*) FROM campaign WHERE driver_id LIKE '" +
                                              std::to_string(coordinator.pid()) + "-%'") == 1;
  }
  std::int64_t number(const std::string& column) {
    return query_number(service.database, "SELECT " + column + " FROM campaign");
  }

  Service service;
  std::unique_ptr<CoordinatorProcess> second;
  std::string addresses;
};

void check_same_search(Pair& pair, const std::string& name) {
  coordinator::journal::Replay replay;
  for (const auto& event : pair.service.user.events(name)) {
    REQUIRE(replay.take(event.sequence(), event.type(), event.json()));
  }
  replay.finish();
  CHECK(replay.has_ended());
  CHECK_FALSE(replay.difference());
}

}  // namespace

TEST_CASE("failover: a campaign is taken over within 10 s of the death of its driver",
          "[integration][coordinator]") {
  Pair pair;
  auto& service = pair.service;
  constexpr int kEvaluations = 40;
  service.user.create(service.user.make_spec("taken", kEvaluations));
  REQUIRE(eventually([&] {
    work_once(service.worker, service.codegen);
    return pair.number("evaluations") >= 10;
  }));
  const bool is_first = pair.drives(service.coordinator);
  auto& driver = is_first ? service.coordinator : *pair.second;
  auto& other = is_first ? *pair.second : service.coordinator;
  const auto applied = pair.number("applied_sequence");
  const auto begin = Clock::now();
  driver.crash();
  // Its new driver has made steps, not only put its name there.
  REQUIRE(eventually([&] {
    work_once(service.worker, service.codegen, milliseconds(100));
    return pair.drives(other) && pair.number("applied_sequence") > applied + 4;
  }));
  CHECK(Clock::now() - begin < kTakeOverMax);
  REQUIRE(work_until_ended(service.user, "taken", service.worker, service.codegen));
  CHECK(service.user.get("taken").consumption().evaluations() == kEvaluations);
  check_same_search(pair, "taken");
}

TEST_CASE("failover: agents and users with two addresses go on with the one that is left",
          "[integration][coordinator]") {
  Pair pair;
  auto& service = pair.service;
  const auto seed = service.start_and_claim_seed("left", 4);
  // All of them use the first one until it is gone.
  service.coordinator.crash();
  CHECK(eventually([&] { return service.worker.finish(seed.lease(), success(1)).ok(); },
                   kTakeOverMax));
  REQUIRE(eventually([&] { return service.user.events("left").size() > 3; }, kTakeOverMax));
  // And the other way round: the first one comes back, the second one goes.
  service.coordinator.start();
  service.worker.use(channel_to("127.0.0.1:1," + service.coordinator.address()));
  service.codegen.use(channel_to("127.0.0.1:1," + service.coordinator.address()));
  service.user.use(channel_to("127.0.0.1:1," + service.coordinator.address()));
  pair.second.reset();
  REQUIRE(work_until_ended(service.user, "left", service.worker, service.codegen));
  check_same_search(pair, "left");
}

TEST_CASE("failover: several hosts over TLS need one name for all their certificates",
          "[integration][coordinator]") {
  const auto channel = [](const std::string& addresses, const std::string& server_name) {
    rpc::ChannelSecurity security;
    security.tls.emplace().set_server_name(server_name);
    return rpc::make_channel(addresses, std::move(security));
  };
  const auto refused = channel("127.0.0.1:1,127.0.0.2:1", "");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::invalid_argument);
  CHECK(refused.error().message.find("tls.server_name") != std::string::npos);
  CHECK(channel("127.0.0.1:1,127.0.0.1:2", ""));
  CHECK(channel("127.0.0.1:1,127.0.0.2:1", "coordinator"));
}
