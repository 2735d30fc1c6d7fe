#include "common/agent/agent.hpp"

#include <grpcpp/server.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "common/rpc/channel.hpp"
#include "common/rpc/status.hpp"

namespace cambrian::agent {
namespace {

using namespace std::chrono_literals;

/// A coordinator with a script: hands out so many items and remembers what agents say. It speaks
/// real gRPC over a Unix socket.
class ScriptedCoordinator final : public v1::AgentService::Service {
 public:
  explicit ScriptedCoordinator(int items) : items_left_(items) {
    grpc::ServerBuilder builder;
    rpc::apply_server_limits(builder);
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~ScriptedCoordinator() override { server_->Shutdown(std::chrono::system_clock::now() + 1s); }

  static std::string address() {
    return "unix:/tmp/agent-test-" + std::to_string(::getpid()) + ".sock";
  }

  grpc::Status Sync(grpc::ServerContext*, const v1::SyncRequest* request,
                    v1::SyncResponse* response) override {
    ++syncs_;
    std::unique_lock lock(mutex_);
    if (syncs_failing_ > 0) {
      --syncs_failing_;
      return {grpc::StatusCode::UNAVAILABLE, "away"};
    }
    response->mutable_next_sync()->set_nanos(50'000'000);
    for (const auto& release : request->released()) released_.insert(release.lease().item_id());
    for (const auto& running : request->running()) {
      if (cancelled_.contains(running.lease().item_id())) {
        *response->add_cancelled() = running.lease();
      }
    }
    for (int i = 0; i < request->wanted() && items_left_ > 0; ++i, --items_left_) {
      auto* assignment = response->add_assignments();
      assignment->mutable_lease()->set_item_id(++last_item_);
      assignment->mutable_lease()->set_epoch(1);
      if (gives_proposals_) {
        assignment->mutable_proposal()->set_seed(static_cast<std::uint64_t>(last_item_));
      } else {
        assignment->mutable_evaluation()->set_seed(static_cast<std::uint64_t>(last_item_));
      }
    }
    response->set_should_drain(items_left_ == 0 && drains_);
    return grpc::Status::OK;
  }

  grpc::Status FinishEvaluation(grpc::ServerContext*, const v1::FinishEvaluationRequest* request,
                                v1::FinishEvaluationResponse*) override {
    const std::lock_guard lock(mutex_);
    if (finishes_failing_ > 0) {
      --finishes_failing_;
      return {grpc::StatusCode::UNAVAILABLE, "away"};
    }
    if (refuses_success_ && request->result().outcome() == v1::EVALUATION_OUTCOME_SUCCESS) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "too many metrics"};
    }
    diagnostics_ = request->result().diagnostics();
    finished_.insert(request->lease().item_id());
    return grpc::Status::OK;
  }

  grpc::Status FinishProposal(grpc::ServerContext*, const v1::FinishProposalRequest* request,
                              v1::FinishProposalResponse*) override {
    const std::lock_guard lock(mutex_);
    const auto& result = request->result();
    const bool is_refused = result.outcome() == v1::PROPOSAL_OUTCOME_SUCCESS ||
                            (refuses_calls_ && result.calls_size() > 0);
    if (is_refused) return {grpc::StatusCode::INVALID_ARGUMENT, "too many tokens"};
    proposal_ = result;
    finished_.insert(request->lease().item_id());
    return grpc::Status::OK;
  }

  std::atomic<int> syncs_ = 0;
  std::mutex mutex_;  // Guards everything below.
  bool refuses_success_ = false;
  bool gives_proposals_ = false;
  bool refuses_calls_ = false;
  v1::ProposalResult proposal_;
  std::string diagnostics_;
  int items_left_;
  int last_item_ = 0;
  int syncs_failing_ = 0;
  int finishes_failing_ = 0;
  bool drains_ = true;
  std::set<std::int64_t> finished_, released_, cancelled_;

 private:
  std::unique_ptr<grpc::Server> server_;
};

AgentOptions two_slots() {
  AgentOptions options;
  options.description.set_kind(v1::AGENT_KIND_WORKER);
  options.description.set_slots(2);
  return options;
}

v1::EvaluationResult success() {
  v1::EvaluationResult result;
  result.set_outcome(v1::EVALUATION_OUTCOME_SUCCESS);
  return result;
}

TEST_CASE("Agent: works on every item once, never on more than its slots", "[contract][agent]") {
  ScriptedCoordinator coordinator(20);
  std::atomic<int> busy = 0;
  std::atomic<int> busy_most = 0;
  Agent agent(rpc::make_channel(ScriptedCoordinator::address()), two_slots(), [&](Attempt&) {
    busy_most = std::max<int>(busy_most, ++busy);
    std::this_thread::sleep_for(2ms);
    --busy;
    return AttemptOutcome(success());
  });
  CHECK(agent.run() == 0);
  CHECK(coordinator.finished_.size() == 20);
  CHECK(coordinator.released_.empty());
  CHECK(busy_most <= 2);
}

TEST_CASE("Agent: says what it can do now, not what it could at its start", "[contract][agent]") {
  ScriptedCoordinator coordinator(6);
  AgentOptions options = two_slots();
  options.refresh = [](v1::AgentDescription& description) { description.set_slots(1); };
  std::atomic<int> busy = 0;
  std::atomic<int> busy_most = 0;
  Agent agent(rpc::make_channel(ScriptedCoordinator::address()), std::move(options), [&](Attempt&) {
    busy_most = std::max<int>(busy_most, ++busy);
    std::this_thread::sleep_for(2ms);
    --busy;
    return AttemptOutcome(success());
  });
  CHECK(agent.run() == 0);
  CHECK(coordinator.finished_.size() == 6);
  CHECK(busy_most == 1);
}

TEST_CASE("Agent: delivers its results through an outage", "[contract][agent]") {
  ScriptedCoordinator coordinator(3);
  coordinator.syncs_failing_ = 2;
  coordinator.finishes_failing_ = 3;
  Agent agent(rpc::make_channel(ScriptedCoordinator::address()), two_slots(),
              [](Attempt&) { return AttemptOutcome(success()); });
  CHECK(agent.run() == 0);
  CHECK(coordinator.finished_ == std::set<std::int64_t>{1, 2, 3});
}

TEST_CASE("Agent: hands its leases back when it is stopped", "[contract][agent]") {
  ScriptedCoordinator coordinator(2);
  coordinator.drains_ = false;
  std::atomic<int> begun = 0;
  Agent agent(rpc::make_channel(ScriptedCoordinator::address()), two_slots(),
              [&](Attempt& attempt) {
                ++begun;
                while (!attempt.stop_token().stop_requested()) std::this_thread::sleep_for(1ms);
                return AttemptOutcome(v1::RELEASE_REASON_SHUTDOWN);
              });
  std::jthread stopper([&] {
    while (begun < 2) std::this_thread::sleep_for(1ms);
    agent.request_stop();
  });
  CHECK(agent.run() == 0);
  CHECK(coordinator.finished_.empty());
  CHECK(coordinator.released_ == std::set<std::int64_t>{1, 2});
}

TEST_CASE("Agent: finishes what runs within its drain timeout, and renews it",
          "[contract][agent]") {
  ScriptedCoordinator coordinator(2);
  coordinator.drains_ = false;
  auto options = two_slots();
  options.drain_timeout = 20s;
  std::atomic<int> begun = 0;
  std::atomic<int> syncs_at_stop = 0;
  Agent agent(rpc::make_channel(ScriptedCoordinator::address()), options, [&](Attempt& attempt) {
    ++begun;
    // Goes on until the agent has called several times after the stop.
    while (syncs_at_stop == 0 || coordinator.syncs_ < syncs_at_stop + 3) {
      if (attempt.stop_token().stop_requested()) return AttemptOutcome(v1::RELEASE_REASON_SHUTDOWN);
      std::this_thread::sleep_for(1ms);
    }
    return AttemptOutcome(success());
  });
  std::jthread stopper([&] {
    while (begun < 2) std::this_thread::sleep_for(1ms);
    syncs_at_stop = coordinator.syncs_.load();
    agent.request_stop();
  });
  CHECK(agent.run() == 0);
  CHECK(coordinator.finished_ == std::set<std::int64_t>{1, 2});
  CHECK(coordinator.released_.empty());
}

TEST_CASE("Agent: tells the campaign why its result was refused", "[contract][agent]") {
  ScriptedCoordinator coordinator(1);
  coordinator.refuses_success_ = true;
  Agent agent(rpc::make_channel(ScriptedCoordinator::address()), two_slots(),
              [](Attempt&) { return AttemptOutcome(success()); });
  CHECK(agent.run() == 0);
  CHECK(coordinator.finished_ == std::set<std::int64_t>{1});
  CHECK(coordinator.diagnostics_.find("too many metrics") != std::string::npos);
  CHECK(coordinator.released_.empty());
}

TEST_CASE("Agent: what was spent is told even when the result was refused", "[contract][agent]") {
  for (const bool refuses_calls : {false, true}) {
    ScriptedCoordinator coordinator(1);
    coordinator.gives_proposals_ = true;
    coordinator.refuses_calls_ = refuses_calls;
    Agent agent(rpc::make_channel(ScriptedCoordinator::address()), two_slots(), [](Attempt&) {
      v1::ProposalResult result;
      result.set_outcome(v1::PROPOSAL_OUTCOME_SUCCESS);
      result.add_calls()->set_prompt_tokens(77);
      return AttemptOutcome(result);
    });
    CHECK(agent.run() == 0);
    CHECK(coordinator.finished_ == std::set<std::int64_t>{1});
    CHECK(coordinator.released_.empty());
    CHECK(coordinator.proposal_.outcome() == v1::PROPOSAL_OUTCOME_INFRASTRUCTURE);
    REQUIRE(coordinator.proposal_.rejections_size() == 1);
    CHECK(coordinator.proposal_.rejections(0).find("too many tokens") != std::string::npos);
    REQUIRE(coordinator.proposal_.calls_size() == (refuses_calls ? 0 : 1));
    if (!refuses_calls) CHECK(coordinator.proposal_.calls(0).prompt_tokens() == 77);
  }
}

TEST_CASE("Agent: stops working on an item that was cancelled", "[contract][agent]") {
  ScriptedCoordinator coordinator(2);
  coordinator.cancelled_ = {1};
  std::atomic<int> stopped = 0;
  Agent agent(rpc::make_channel(ScriptedCoordinator::address()), two_slots(),
              [&](Attempt& attempt) {
                if (attempt.assignment().lease().item_id() != 1) return AttemptOutcome(success());
                while (!attempt.stop_token().stop_requested()) std::this_thread::sleep_for(1ms);
                ++stopped;
                return AttemptOutcome(v1::RELEASE_REASON_SHUTDOWN);
              });
  CHECK(agent.run() == 0);
  CHECK(stopped == 1);
  CHECK(coordinator.finished_ == std::set<std::int64_t>{2});
}

}  // namespace
}  // namespace cambrian::agent
