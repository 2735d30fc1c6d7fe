#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <thread>

#include "common/rpc/channel.hpp"
#include "tests/integration/coordinator/fixture.hpp"

using namespace cambrian;
using namespace cambrian::test;

TEST_CASE("load: many agents at once finish every evaluation once", "[integration][coordinator]") {
  Service service;
  constexpr int kAgents = 32;
  constexpr int kEvaluations = 400;
  auto spec = service.user.make_spec("loaded", kEvaluations);
  spec.mutable_search()->set_policy(spec::v1::POLICY_RANDOM);
  spec.mutable_evaluation()->set_parallel(256);
  spec.mutable_codegen()->set_parallel(64);
  spec.mutable_codegen()->set_variants(4);
  service.user.create(spec);
  std::atomic<bool> is_over = false;
  std::vector<std::thread> agents;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kAgents; ++i) {
    agents.emplace_back([&, i] {
      const auto channel = rpc::make_channel(service.coordinator.address());
      const bool is_codegen = i % 8 == 0;
      ScriptedAgent agent(channel,
                          is_codegen ? agent::v1::AGENT_KIND_CODEGEN : agent::v1::AGENT_KIND_WORKER,
                          "agent");
      while (!is_over) {
        for (const auto& one : agent.claim(1, milliseconds(500))) {
          if (is_codegen) {
            agent.finish(one.lease(), proposal_of(one.proposal().variants()));
          } else {
            agent.finish(one.lease(), success(score_of(one.evaluation())));
          }
        }
      }
    });
  }
  const bool has_ended_in_time = eventually(
      [&] { return has_ended(service.user.get("loaded").state()); }, milliseconds(240'000));
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  is_over = true;
  for (auto& agent : agents) agent.join();
  REQUIRE(has_ended_in_time);
  CHECK(service.user.get("loaded").consumption().evaluations() == kEvaluations);
  std::printf("%d agents: %.0f evaluations a second\n", kAgents, kEvaluations / time.count());
}
