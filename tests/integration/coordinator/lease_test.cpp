#include <catch2/catch_test_macros.hpp>
#include <limits>
#include <map>
#include <pqxx/pqxx>
#include <thread>

#include "tests/integration/coordinator/fixture.hpp"

using namespace cambrian;
using namespace cambrian::test;

namespace {

constexpr milliseconds kShortLease{1'500};

std::int64_t attempts(const Service& service, const std::string& condition) {
  return query_number(service.database, "SELECT count(*) FROM attempt WHERE " + condition);
}

}  // namespace

TEST_CASE("lease: the same report twice is accepted and counted once",
          "[integration][coordinator]") {
  Service service;
  const auto seed = service.start_and_claim_seed("twice");
  CHECK(service.worker.finish(seed.lease(), success(1)).ok());
  CHECK(service.worker.finish(seed.lease(), success(1)).ok());
  CHECK(service.user.get("twice").consumption().evaluations() == 1);
  CHECK(attempts(service, "outcome = 'finished' AND is_counted") == 1);
}

TEST_CASE("lease: what made a program of the source is kept with the result",
          "[integration][coordinator]") {
  // A word that nobody knows here is none.
  for (const auto& [said, kept] : std::map<std::string, std::string>{
           {"warm", "warm"}, {"compile", "compile"}, {"quantum", ""}, {"", ""}}) {
    Service service;
    const auto seed = service.start_and_claim_seed("evaluator");
    auto result = success(1);
    result.set_evaluator(said);
    REQUIRE(service.worker.finish(seed.lease(), result).ok());
    const auto variant =
        service.user.variant("evaluator", service.user.variants("evaluator").at(0).number());
    REQUIRE(variant.evaluations_size() == 1);
    CHECK(variant.evaluations(0).result().evaluator() == kept);
  }
}

TEST_CASE("lease: a stale report is refused, and recorded with its cost",
          "[integration][coordinator]") {
  Service service({.lease = kShortLease});
  const auto stale = service.start_and_claim_seed("stale");
  auto other = service.make_worker("other");
  std::vector<agent::v1::Assignment> fresh;
  REQUIRE(eventually([&] {
    fresh = other.claim(1, milliseconds(500));
    return !fresh.empty();
  }));
  CHECK(fresh.front().lease().item_id() == stale.lease().item_id());
  CHECK(fresh.front().lease().epoch() == stale.lease().epoch() + 1);
  CHECK(fresh.front().evaluation().seed() == stale.evaluation().seed());

  auto late = success(7);
  late.mutable_usage()->mutable_gpu_time()->set_seconds(2);
  for (int i = 0; i < 2; ++i) CHECK(is_lease_lost(service.worker.finish(stale.lease(), late)));
  CHECK(service.user.get("stale").consumption().evaluations() == 0);
  // The result does not count. What it took does, once.
  CHECK(service.user.get("stale").consumption().gpu_time().seconds() == 2);
  CHECK(attempts(service, "stale_report_at IS NOT NULL AND NOT is_counted AND cpu_time_ms = 4") ==
        1);
  // Nor may somebody else report under the fresh lease.
  CHECK(is_lease_lost(service.worker.finish(fresh.front().lease(), success(7))));
  CHECK(other.finish(fresh.front().lease(), success(2)).ok());
  REQUIRE(eventually([&] { return service.user.get("stale").has_seed_score(); }));
  CHECK(service.user.get("stale").seed_score() == 2);
  CHECK(is_lease_lost(service.worker.finish(stale.lease(), success(7))));
}

TEST_CASE("lease: renewals keep a lease alive, and a lost one is told to its agent",
          "[integration][coordinator]") {
  constexpr milliseconds kLease{6'000};
  Service service({.lease = kLease});
  const auto seed = service.start_and_claim_seed("renewed");
  auto request = service.worker.make_sync(0);
  auto* progress = request.add_running();
  *progress->mutable_lease() = seed.lease();
  progress->set_phase("train");
  progress->set_fraction(0.5);
  progress->set_step(120);
  progress->set_loss(0.25);
  request.mutable_agent()->add_gpus()->set_id("GPU-a");
  auto* broken = request.mutable_agent()->add_gpus();
  broken->set_id("GPU-b");
  broken->set_trouble("its memory was not given back");
  agent::v1::SyncResponse response;
  for (int i = 0; i < 4; ++i) {
    REQUIRE(service.worker.sync(request, &response).ok());
    CHECK(response.cancelled().empty());
    CHECK(response.lease_duration().seconds() == 6);
    std::this_thread::sleep_for(kLease / 3);
  }
  auto other = service.make_worker("other");
  CHECK(other.claim(1, milliseconds(0)).empty());

  user::v1::ListWorkersResponse workers;
  grpc::ClientContext context;
  REQUIRE(service.user.workers().ListWorkers(&context, {}, &workers).ok());
  bool is_found = false;
  for (const auto& worker : workers.workers()) {
    if (worker.description().agent_id() != service.worker.id()) continue;
    is_found = true;
    REQUIRE(worker.running_size() == 1);
    CHECK(worker.running(0).phase() == "train");
    CHECK(worker.running(0).step() == 120);
    CHECK(worker.running(0).loss() == 0.25);
    CHECK(worker.leases() == 1);
    REQUIRE(worker.description().gpus_size() == 2);
    CHECK(worker.description().gpus(0).trouble().empty());
    CHECK(worker.description().gpus(1).id() == "GPU-b");
    CHECK(worker.description().gpus(1).trouble() == "its memory was not given back");
  }
  CHECK(is_found);

  progress->mutable_lease()->set_epoch(99);
  REQUIRE(service.worker.sync(request, &response).ok());
  CHECK(response.cancelled_size() == 1);
}

TEST_CASE("lease: a released item is ready at once and nobody is to blame",
          "[integration][coordinator]") {
  Service service;
  auto assignment = service.start_and_claim_seed("released");
  auto other = service.make_worker("other");
  for (int i = 0; i < 8; ++i) {
    REQUIRE(service.worker.release(assignment.lease(), agent::v1::RELEASE_REASON_SHUTDOWN).ok());
    auto next = other.claim(1, milliseconds(2'000));
    REQUIRE(next.size() == 1);
    REQUIRE(other.release(next.front().lease(), agent::v1::RELEASE_REASON_SHUTDOWN).ok());
    next = service.worker.claim(1, milliseconds(2'000));
    REQUIRE(next.size() == 1);
    assignment = next.front();
  }
  CHECK(assignment.lease().epoch() == 17);
  CHECK(query_number(service.database, "SELECT sum(worker_faults + losses) FROM work_item") == 0);
  CHECK(service.worker.finish(assignment.lease(), success(1)).ok());
  CHECK(service.user.get("released").consumption().evaluations() == 1);
}

TEST_CASE("lease: an agent that cannot do an item does not get it again",
          "[integration][coordinator]") {
  Service service;
  const auto assignment = service.start_and_claim_seed("unable");
  REQUIRE(service.worker.release(assignment.lease(), agent::v1::RELEASE_REASON_UNABLE).ok());
  CHECK(service.worker.claim(1, milliseconds(2'500)).empty());
  auto other = service.make_worker("other");
  CHECK(other.claim(1).size() == 1);
}

TEST_CASE("lease: an item that takes two workers down ends as a crash of the candidate",
          "[integration][coordinator]") {
  Service service({.lease = kShortLease});
  const auto seed = service.start_and_claim_seed("poison");
  auto second = service.make_worker("second");
  REQUIRE(eventually([&] { return !second.claim(1, milliseconds(500)).empty(); }));
  REQUIRE(eventually([&] { return has_ended(service.user.get("poison").state()); }));
  const auto campaign = service.user.get("poison");
  CHECK(campaign.state() == user::v1::CAMPAIGN_STATE_FAILED);
  CHECK(campaign.consumption().evaluations() == 1);
  CHECK(campaign.consumption().evaluations_failed() == 1);
  const auto variant = service.user.variant("poison", 0);
  CHECK(variant.outcome() == agent::v1::EVALUATION_OUTCOME_CRASH);
  CHECK(variant.diagnostics().find("worker: lost; second: lost") != std::string::npos);
}

TEST_CASE("lease: an agent that lives but does not hold its lease is not counted as killed",
          "[integration][coordinator]") {
  Service service({.lease = kShortLease});
  service.start_and_claim_seed("dropped");
  // The answers are lost: the agent goes on calling without naming the item.
  for (int lost_answers = 1; lost_answers <= 3; ++lost_answers) {
    REQUIRE(eventually([&] {
      agent::v1::SyncResponse response;
      service.worker.sync(service.worker.make_sync(0), &response);
      return attempts(service, "outcome = 'dropped'") == lost_answers;
    }));
    REQUIRE(service.worker.claim(1).size() == 1);
  }
  CHECK(attempts(service, "outcome = 'lost'") == 0);
  CHECK(service.user.get("dropped").state() == user::v1::CAMPAIGN_STATE_RUNNING);
}

TEST_CASE("lease: a campaign that somebody holds does not keep others from getting leases back",
          "[integration][coordinator]") {
  Service service({.lease = kShortLease});
  service.start_and_claim_seed("held");
  service.start_and_claim_seed("free");
  REQUIRE(query_number(service.database, "SELECT count(*) FROM work_item WHERE state = 'leased'") ==
          2);
  // Somebody looks at the first campaign by hand, and forgets to end the transaction.
  pqxx::connection connection(service.database);
  pqxx::work transaction(connection);
  transaction.exec("SELECT 1 FROM campaign WHERE name = 'held' FOR UPDATE");
  const std::string free_item =
      "item_id = (SELECT w.id FROM work_item w JOIN campaign c ON c.id = w.campaign_id"
      " WHERE c.name = 'free' AND w.kind = 'evaluation')";
  CHECK(eventually([&] { return attempts(service, "outcome IS NOT NULL AND " + free_item) == 1; },
                   milliseconds(20'000)));
  CHECK(attempts(service, "outcome IS NOT NULL") == 1);
  transaction.commit();
  CHECK(eventually([&] { return attempts(service, "outcome IS NOT NULL") == 2; }));
}

TEST_CASE("lease: failures of workers are retried, and end when there are too many",
          "[integration][coordinator]") {
  Service service;
  auto assignment = service.start_and_claim_seed("infrastructure");
  const auto broken = failure(agent::v1::EVALUATION_OUTCOME_INFRASTRUCTURE, "disk is full");
  REQUIRE(service.worker.finish(assignment.lease(), broken).ok());
  CHECK(service.worker.finish(assignment.lease(), broken).ok());
  CHECK(service.user.get("infrastructure").consumption().evaluations() == 0);
  CHECK(query_number(service.database, "SELECT worker_faults FROM work_item") == 1);
  // Back-off: not at once, but soon.
  CHECK(service.worker.claim(1, milliseconds(0)).empty());
  auto next = service.worker.claim(1, milliseconds(5'000));
  REQUIRE(next.size() == 1);
  // The fifth failure is the last: shortened by hand, the delays double.
  query_number(service.database, "UPDATE work_item SET worker_faults = 4 RETURNING id");
  REQUIRE(service.worker.finish(next.front().lease(), broken).ok());
  REQUIRE(eventually([&] { return has_ended(service.user.get("infrastructure").state()); }));
  CHECK(service.user.get("infrastructure").state() == user::v1::CAMPAIGN_STATE_FAILED);
  CHECK(service.user.variant("infrastructure", 0).outcome() ==
        agent::v1::EVALUATION_OUTCOME_INFRASTRUCTURE);
}

TEST_CASE("lease: the tries of a proposal share what is reserved for it",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("sharing", 0);
  spec.mutable_budget()->set_tokens(100'000);
  spec.mutable_codegen()->set_parallel(1);
  service.user.create(spec);
  const auto seed = service.worker.claim(1);
  REQUIRE(seed.size() == 1);
  REQUIRE(service.worker.finish(seed.front().lease(), success(1)).ok());
  auto proposals = service.codegen.claim(1);
  REQUIRE(proposals.size() == 1);
  const auto first = proposals.front();
  const auto reserved = first.proposal().tokens_reserved();
  REQUIRE(reserved > 5'000);
  const auto broken = [](std::int64_t tokens) {
    auto result = proposal_of(0, tokens);
    result.set_outcome(agent::v1::PROPOSAL_OUTCOME_INFRASTRUCTURE);
    return result;
  };
  REQUIRE(service.codegen.finish(first.lease(), broken(1'000)).ok());
  CHECK(service.user.get("sharing").consumption().tokens() == 1'000);
  proposals = service.codegen.claim(1);
  REQUIRE(proposals.size() == 1);
  CHECK(proposals.front().lease().item_id() == first.lease().item_id());
  CHECK(proposals.front().proposal().tokens_reserved() == reserved - 1'000);
  // What is left does not hold another answer: the proposal has failed, the next one begins.
  REQUIRE(service.codegen.finish(proposals.front().lease(), broken(reserved - 4'000)).ok());
  proposals = service.codegen.claim(1);
  REQUIRE(proposals.size() == 1);
  CHECK(proposals.front().lease().item_id() != first.lease().item_id());
  CHECK(proposals.front().proposal().tokens_reserved() == reserved);
  const auto used = service.user.get("sharing").consumption();
  CHECK(used.tokens() == reserved - 3'000);
  CHECK(used.cost_micro_usd() == 14);
  CHECK(used.proposals_failed() == 1);
}

TEST_CASE("lease: GPU time of attempts without a result counts against the budget",
          "[integration][coordinator]") {
  Service service;
  auto spec = service.user.make_spec("gpus", 0);
  spec.mutable_budget()->mutable_gpu_time()->set_seconds(5);
  service.user.create(spec);
  auto work = service.worker.claim(1);
  REQUIRE(work.size() == 1);
  auto broken = failure(agent::v1::EVALUATION_OUTCOME_INFRASTRUCTURE, "the device fell off");
  broken.mutable_usage()->mutable_gpu_time()->set_seconds(4);
  REQUIRE(service.worker.finish(work.front().lease(), broken).ok());
  CHECK(service.user.get("gpus").consumption().gpu_time().seconds() == 4);
  CHECK(service.user.get("gpus").state() == user::v1::CAMPAIGN_STATE_RUNNING);
  work = service.worker.claim(1);
  REQUIRE(work.size() == 1);
  // Handed back without a word about its cost: the time in which the GPU was held.
  query_number(service.database, "UPDATE work_item SET gpus = 1 RETURNING id");
  std::this_thread::sleep_for(milliseconds(1'200));
  REQUIRE(service.worker.release(work.front().lease(), agent::v1::RELEASE_REASON_SHUTDOWN).ok());
  CHECK(service.user.get("gpus").consumption().gpu_time().seconds() >= 5);
  CHECK(eventually(
      [&] { return service.user.get("gpus").state() == user::v1::CAMPAIGN_STATE_DRAINING; }));
  CHECK(service.user.get("gpus").end_reason() == user::v1::END_REASON_GPU_TIME);
}

TEST_CASE("lease: an attempt ends with its budget, however alive the agent is",
          "[integration][coordinator]") {
  Service service({.lease = kShortLease, .evaluation_attempt = milliseconds(1'000)});
  auto assignment = service.start_and_claim_seed("overrun");
  CHECK(assignment.attempt_budget().seconds() >= 1);
  for (int i = 0; i < 2; ++i) {
    // The task's own limits make a longer budget: shortened by hand.
    query_number(service.database,
                 "UPDATE work_item SET attempt_deadline = now() - interval '1 s' RETURNING id");
    auto request = service.worker.make_sync(0);
    *request.add_running()->mutable_lease() = assignment.lease();
    REQUIRE(eventually([&] {
      agent::v1::SyncResponse response;
      return service.worker.sync(request, &response).ok() && response.cancelled_size() == 1;
    }));
    if (i == 1) break;
    const auto next = service.worker.claim(1);
    REQUIRE(next.size() == 1);
    assignment = next.front();
  }
  CHECK(attempts(service, "outcome = 'overrun'") == 2);
  CHECK(eventually([&] {
    return service.user.variant("overrun", 0).outcome() == agent::v1::EVALUATION_OUTCOME_TIMEOUT;
  }));
}

TEST_CASE("lease: agents get only what they can do", "[integration][coordinator]") {
  Service service;
  service.user.create(service.user.make_spec("demanding", 5));
  REQUIRE(eventually([&] { return service.user.get("demanding").evaluations_open() == 1; }));
  agent::v1::SyncResponse response;
  auto request = service.worker.make_sync(1);
  request.mutable_agent()->set_sandbox_level(spec::v1::SANDBOX_LEVEL_LIMITS);
  REQUIRE(service.worker.sync(request, &response).ok());
  CHECK(response.assignments().empty());
  request = service.worker.make_sync(1);
  request.mutable_agent()->clear_runtimes();
  request.mutable_agent()->add_runtimes(spec::v1::RUNTIME_LIBTORCH);
  REQUIRE(service.worker.sync(request, &response).ok());
  CHECK(response.assignments().empty());
  request = service.worker.make_sync(1);
  request.set_is_draining(true);
  REQUIRE(service.worker.sync(request, &response).ok());
  CHECK(response.assignments().empty());
  CHECK(service.codegen.claim(1, milliseconds(0)).empty());
  CHECK(service.worker.claim(1).size() == 1);
}

TEST_CASE("lease: wrong calls are refused with the field", "[integration][coordinator]") {
  Service service;
  agent::v1::SyncResponse response;
  auto request = service.worker.make_sync(65);
  request.mutable_agent()->set_agent_id("short");
  request.mutable_agent()->set_kind(agent::v1::AGENT_KIND_UNSPECIFIED);
  const auto status = service.worker.sync(request, &response);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(rpc::details_of(status).field_violations.size() == 3);
  const auto seed = service.start_and_claim_seed("wrong");
  auto infinite = success(1);
  (*infinite.mutable_metrics())["score"] = std::numeric_limits<double>::infinity();
  CHECK(service.worker.finish(seed.lease(), infinite).error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(service.worker.finish(seed.lease(), agent::v1::EvaluationResult()).error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(service.worker.finish(seed.lease(), proposal_of(1)).error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(service.worker.finish(seed.lease(), success(1)).ok());
}

TEST_CASE("lease: numbers that no agent can mean are refused, and sums stay numbers",
          "[integration][coordinator]") {
  Service service;
  const auto seed = service.start_and_claim_seed("absurd");
  const auto fields_of = [](const grpc::Status& status) {
    std::vector<std::string> fields;
    for (const auto& one : rpc::details_of(status).field_violations) fields.push_back(one.field);
    return fields;
  };
  auto long_one = success(1);
  long_one.mutable_usage()->mutable_gpu_time()->set_seconds(400LL * 24 * 3600);
  long_one.mutable_usage()->set_memory_peak_bytes(-1);
  CHECK(fields_of(service.worker.finish(seed.lease(), long_one)) ==
        std::vector<std::string>{"result.usage.gpu_time", "result.usage.memory_peak_bytes"});
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  const auto proposals = service.codegen.claim(1);
  REQUIRE(proposals.size() == 1);
  auto result = proposal_of(1);
  result.mutable_calls(0)->set_prompt_tokens(std::numeric_limits<std::int64_t>::max());
  result.mutable_calls(0)->set_completion_tokens(std::numeric_limits<std::int64_t>::max());
  result.mutable_calls(0)->set_cost_micro_usd(std::numeric_limits<std::int64_t>::max());
  result.mutable_variants(0)->mutable_files(0)->set_path("../judge/judge.cpp");
  CHECK(fields_of(service.codegen.finish(proposals[0].lease(), result)) ==
        std::vector<std::string>{
            "result.variants[0].files[0].path", "result.calls[0].prompt_tokens",
            "result.calls[0].completion_tokens", "result.calls[0].cost_micro_usd"});
  CHECK(service.codegen.finish(proposals[0].lease(), proposal_of(1)).ok());
  CHECK(service.user.get("absurd").consumption().tokens() == 100);
}

TEST_CASE("lease: a long poll is answered as soon as there is work", "[integration][coordinator]") {
  Service service;
  std::vector<agent::v1::Assignment> assignments;
  milliseconds waited{0};
  std::thread poll([&] {
    const auto begin = std::chrono::steady_clock::now();
    assignments = service.worker.claim(1, milliseconds(20'000));
    waited = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
  });
  service.user.create(service.user.make_spec("woken", 5));
  poll.join();
  CHECK(assignments.size() == 1);
  CHECK(waited < milliseconds(8'000));
}
