#include <grpcpp/create_channel.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "common/rpc/channel.hpp"
#include "tests/integration/coordinator/fixture.hpp"

// What gRPC does by default, or where others lost their connections.

using namespace cambrian;
using namespace cambrian::test;

TEST_CASE("traps: SIGTERM with a hundred open long polls ends the coordinator in time",
          "[integration][coordinator]") {
  constexpr int kPolls = 100;
  constexpr milliseconds kEndMax{15'000};
  Service service;
  std::atomic<int> answered = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < kPolls; ++i) {
    const auto channel = rpc::make_channel(service.coordinator.address());
    REQUIRE(channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20)));
    threads.emplace_back([&, i, channel] {
      ScriptedAgent agent(channel, agent::v1::AGENT_KIND_WORKER, "waits-" + std::to_string(i));
      agent::v1::SyncResponse response;
      const auto request = agent.make_sync(1, milliseconds(20'000));
      const auto status = agent.sync(request, &response);
      // An empty answer, or word that the coordinator goes: nobody is left to wait for a time-out.
      answered += status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE ? 1 : 0;
    });
  }
  REQUIRE(eventually([&] {
    return query_number(service.database, "SELECT count(*) FROM agent WHERE name LIKE 'waits-%'") ==
           kPolls;
  }));
  CHECK(service.coordinator.terminate(kEndMax) == 0);
  const auto ended = std::chrono::steady_clock::now();
  threads.clear();
  CHECK(std::chrono::steady_clock::now() - ended < milliseconds(2'000));
  CHECK(answered == kPolls);
}

// A server's default is one ping in five minutes, and the end of the connection (too_many_pings)
// for whoever sends more of them.
TEST_CASE("traps: a quiet connection lives, however often its client pings",
          "[integration][coordinator]") {
  constexpr int kPingIntervalMs = 11'000;  // Clients of gRPC do not ping more than every 10 s.
  constexpr std::chrono::seconds kQuiet{45};
  Service service;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingIntervalMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  const auto channel = grpc::CreateCustomChannel(service.coordinator.address(),
                                                 grpc::InsecureChannelCredentials(), arguments);
  REQUIRE(channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10)));
  CHECK_FALSE(
      channel->WaitForStateChange(GRPC_CHANNEL_READY, std::chrono::system_clock::now() + kQuiet));
  CHECK(channel->GetState(false) == GRPC_CHANNEL_READY);
}
