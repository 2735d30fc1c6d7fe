#include <catch2/catch_test_macros.hpp>
#include <pqxx/pqxx>

#include "common/blob/blob_client.hpp"
#include "common/digest/sha256.hpp"
#include "tests/integration/coordinator/fixture.hpp"

using namespace cambrian;
using namespace cambrian::test;
using namespace std::string_literals;

namespace {

constexpr milliseconds kShortLease{3'000};

agent::v1::Lease claim_proposal(Service& service, ScriptedAgent& codegen, const std::string& name) {
  const auto seed = service.start_and_claim_seed(name);
  REQUIRE(service.worker.finish(seed.lease(), success(1)).ok());
  const auto claimed = codegen.claim(1);
  REQUIRE(claimed.size() == 1);
  return claimed.front().lease();
}

agent::v1::BeginCallRequest make_begin(const ScriptedAgent& agent, const agent::v1::Lease& lease,
                                       int number, std::int64_t tokens = 1'300) {
  agent::v1::BeginCallRequest request;
  request.set_agent_id(agent.id());
  *request.mutable_lease() = lease;
  request.set_number(number);
  auto& call = *request.mutable_call();
  call.set_model("small-1");
  call.set_endpoint("test");
  call.set_prompt_tokens(300);
  call.set_completion_tokens(tokens - 300);
  call.set_cost_micro_usd(50);
  return request;
}

grpc::Status begin(ScriptedAgent& agent, const agent::v1::BeginCallRequest& request,
                   milliseconds* wait = nullptr) {
  grpc::ClientContext context;
  agent::v1::BeginCallResponse response;
  const auto status = agent.stub().BeginCall(&context, request, &response);
  const auto& duration = response.wait();
  if (wait != nullptr) {
    *wait = milliseconds(duration.seconds() * 1000 + duration.nanos() / 1'000'000);
  }
  return status;
}

milliseconds wait_of(ScriptedAgent& agent, const agent::v1::BeginCallRequest& request) {
  milliseconds wait{-1};
  const auto status = begin(agent, request, &wait);
  INFO(status.error_message());
  REQUIRE(status.ok());
  return wait;
}

grpc::Status end(ScriptedAgent& agent, const agent::v1::BeginCallRequest& begun,
                 std::int64_t tokens, milliseconds pause = milliseconds(0)) {
  agent::v1::EndCallRequest request;
  request.set_agent_id(agent.id());
  *request.mutable_lease() = begun.lease();
  request.set_number(begun.number());
  *request.mutable_call() = begun.call();
  request.mutable_call()->set_prompt_tokens(tokens);
  request.mutable_call()->set_completion_tokens(0);
  request.mutable_call()->set_cost_micro_usd(5);
  request.mutable_call()->set_finish_reason("stop");
  request.mutable_pause()->set_seconds(pause.count() / 1000);
  grpc::ClientContext context;
  agent::v1::EndCallResponse response;
  return agent.stub().EndCall(&context, request, &response);
}

std::int64_t count(const Service& service, const std::string& from) {
  return query_number(service.database, "SELECT count(*) FROM " + from);
}

agent::v1::CallLimits limits_of(const std::string& group) {
  agent::v1::CallLimits limits;
  limits.set_group(group);
  return limits;
}

/// Two clients, each with a proposal of its own.
struct TwoClients {
  Service service;
  ScriptedAgent& one = service.codegen;
  ScriptedAgent other{service.coordinator.channel(), agent::v1::AGENT_KIND_CODEGEN, "other"};
  agent::v1::Lease lease = claim_proposal(service, one, "one");
  agent::v1::Lease other_lease = claim_proposal(service, other, "other");
};

}  // namespace

TEST_CASE("calls: one that is never reported is spent, with an unknown outcome",
          "[integration][coordinator]") {
  Service service({.lease = kShortLease});
  const auto lease = claim_proposal(service, service.codegen, "crashed");
  const auto ended = make_begin(service.codegen, lease, 1);
  const auto open = make_begin(service.codegen, lease, 2);
  CHECK(wait_of(service.codegen, ended) == milliseconds(0));
  CHECK(wait_of(service.codegen, open) == milliseconds(0));
  CHECK(wait_of(service.codegen, open) == milliseconds(0));  // The same again changes nothing.
  CHECK(end(service.codegen, ended, 400).ok());
  CHECK(end(service.codegen, ended, 999).ok());
  CHECK(count(service, "open_call") == 2);
  CHECK(count(service, "model_call") == 0);

  // The client dies here, and its lease expires.
  REQUIRE(eventually([&] { return count(service, "open_call") == 0; }));
  CHECK(count(service,
              "model_call WHERE is_outcome_unknown AND finish_reason = 'error'"
              " AND prompt_tokens = 300 AND completion_tokens = 1000 AND NOT is_counted") == 1);
  CHECK(count(service, "model_call WHERE NOT is_outcome_unknown AND prompt_tokens = 400") == 1);
  const auto consumption = service.user.get("crashed").consumption();
  CHECK(consumption.tokens() == 1'700);
  CHECK(consumption.cost_micro_usd() == 55);
  CHECK(count(service, "event WHERE type = 'attempt_charged'") == 1);

  CHECK(is_lease_lost(begin(service.codegen, make_begin(service.codegen, lease, 3))));
  // It was only slow: what it says takes the place of the guess, and is not charged twice.
  CHECK(is_lease_lost(service.codegen.finish(lease, proposal_of(1, 100))));
  CHECK(count(service, "model_call WHERE is_outcome_unknown") == 0);
  CHECK(count(service, "model_call WHERE prompt_tokens = 50") == 1);
  CHECK(service.user.get("crashed").consumption().tokens() == 1'700);
}

TEST_CASE("calls: a report tells of them for good", "[integration][coordinator]") {
  Service service;
  const auto lease = claim_proposal(service, service.codegen, "reported");
  const auto call = make_begin(service.codegen, lease, 1);
  CHECK(wait_of(service.codegen, call) == milliseconds(0));
  REQUIRE(service.codegen.finish(lease, proposal_of(1, 100)).ok());
  CHECK(count(service, "open_call") == 0);
  CHECK(count(service, "model_call") == 1);
  CHECK(count(service, "model_call WHERE is_counted AND NOT is_outcome_unknown") == 1);
  CHECK(service.user.get("reported").consumption().tokens() == 100);
  CHECK(end(service.codegen, call, 1).ok());  // Late: nothing is left to settle.
}

TEST_CASE("calls: a lease that is handed back keeps what was sent under it",
          "[integration][coordinator]") {
  Service service;
  const auto lease = claim_proposal(service, service.codegen, "released");
  CHECK(wait_of(service.codegen, make_begin(service.codegen, lease, 1)) == milliseconds(0));
  REQUIRE(service.codegen.release(lease, agent::v1::RELEASE_REASON_SHUTDOWN).ok());
  CHECK(count(service, "model_call WHERE is_outcome_unknown") == 1);
  CHECK(service.user.get("released").consumption().tokens() == 1'300);
}

TEST_CASE("calls: of a cancelled attempt, they are charged when nobody reports them",
          "[integration][coordinator]") {
  Service service;
  const auto lease = claim_proposal(service, service.codegen, "cancelled");
  CHECK(wait_of(service.codegen, make_begin(service.codegen, lease, 1)) == milliseconds(0));
  pqxx::connection connection(service.database);
  pqxx::nontransaction sql(connection);
  const auto item = std::to_string(lease.item_id());
  sql.exec("UPDATE work_item SET state = 'cancelled' WHERE id = " + item);
  sql.exec("UPDATE attempt SET outcome = 'cancelled', ended_at = now() WHERE item_id = " + item);
  sql.exec("SELECT pg_sleep(3)");
  CHECK(count(service, "open_call") == 1);  // Its agent may still report.
  sql.exec("UPDATE attempt SET ended_at = now() - interval '11 minutes' WHERE item_id = " + item);
  REQUIRE(eventually([&] { return count(service, "open_call") == 0; }));
  CHECK(count(service, "model_call WHERE is_outcome_unknown") == 1);
  CHECK(service.user.get("cancelled").consumption().tokens() == 1'300);
}

TEST_CASE("calls: clients share the calls at once", "[integration][coordinator]") {
  TwoClients bench;
  auto mine = make_begin(bench.one, bench.lease, 1);
  auto theirs = make_begin(bench.other, bench.other_lease, 1);
  *mine.mutable_limits() = limits_of("http://model/v1");
  mine.mutable_limits()->set_parallel(1);
  *theirs.mutable_limits() = mine.limits();
  CHECK(wait_of(bench.one, mine) == milliseconds(0));
  CHECK(wait_of(bench.other, theirs) > milliseconds(0));
  CHECK(count(bench.service, "open_call") == 1);
  // Another account is not concerned.
  auto elsewhere = theirs;
  elsewhere.mutable_limits()->set_group("http://model/v1 team-b");
  elsewhere.set_number(7);
  CHECK(wait_of(bench.other, elsewhere) == milliseconds(0));
  REQUIRE(end(bench.one, mine, 100).ok());
  CHECK(wait_of(bench.other, theirs) == milliseconds(0));
}

TEST_CASE("calls: clients share requests and tokens a minute", "[integration][coordinator]") {
  TwoClients bench;
  int granted = 0;
  milliseconds wait{0};
  for (int i = 1; i <= 40 && wait == milliseconds(0); ++i) {
    auto& agent = i % 2 == 0 ? bench.one : bench.other;
    auto call = make_begin(agent, i % 2 == 0 ? bench.lease : bench.other_lease, i);
    *call.mutable_limits() = limits_of("requests");
    call.mutable_limits()->set_requests_per_minute(60);
    wait = wait_of(agent, call);
    granted += wait == milliseconds(0) ? 1 : 0;
  }
  CHECK(granted >= 6);  // A tenth of a minute at once, and one more each second of the test.
  CHECK(granted < 40);
  CHECK(wait <= milliseconds(1'000));

  auto mine = make_begin(bench.one, bench.lease, 101, 50'000);
  *mine.mutable_limits() = limits_of("tokens");
  mine.mutable_limits()->set_tokens_per_minute(600'000);  // At once: 60,000.
  auto theirs = make_begin(bench.other, bench.other_lease, 101, 50'000);
  *theirs.mutable_limits() = mine.limits();
  CHECK(wait_of(bench.one, mine) == milliseconds(0));
  CHECK(wait_of(bench.other, theirs) > milliseconds(0));
  REQUIRE(end(bench.one, mine, 1'000).ok());  // The rest of what was reserved goes back.
  CHECK(wait_of(bench.other, theirs) == milliseconds(0));
}

TEST_CASE("calls: a report gives back what was reserved, where nobody told that the call ended",
          "[integration][coordinator]") {
  TwoClients bench;
  const auto ask = [&](int number) {
    auto call = make_begin(bench.other, bench.other_lease, number, 50'000);
    *call.mutable_limits() = limits_of("tokens");
    call.mutable_limits()->set_tokens_per_minute(600'000);  // At once: 60,000.
    return wait_of(bench.other, call);
  };
  auto ended = make_begin(bench.one, bench.lease, 1, 5'000);
  *ended.mutable_limits() = limits_of("tokens");
  ended.mutable_limits()->set_tokens_per_minute(600'000);
  auto open = make_begin(bench.one, bench.lease, 2, 50'000);
  *open.mutable_limits() = ended.limits();
  REQUIRE(wait_of(bench.one, ended) == milliseconds(0));
  REQUIRE(end(bench.one, ended, 4'000).ok());
  REQUIRE(wait_of(bench.one, open) == milliseconds(0));
  CHECK(ask(1) > milliseconds(1'000));  // 50,000 are not there for seconds.
  auto result = proposal_of(1, 5'000);  // Both together: the open one took a thousand.
  SECTION("what was used counts") {
    REQUIRE(bench.one.finish(bench.lease, result).ok());
    CHECK(ask(2) == milliseconds(0));
  }
  SECTION("what failed counts as what was asked for") {
    result.mutable_calls(0)->set_finish_reason("error");
    REQUIRE(bench.one.finish(bench.lease, result).ok());
    CHECK(ask(2) > milliseconds(1'000));
  }
}

TEST_CASE("calls: contents that come with a report are stored, whatever becomes of it",
          "[integration][coordinator]") {
  Service service({.lease = kShortLease});
  const auto lease = claim_proposal(service, service.codegen, "contents");
  const std::string answer = "an answer with a NUL \0 and more"s;
  const auto digest_of = [&service](const std::string& content) {
    return count(service, "blob WHERE sha256 = '" + sha256_hex(content) +
                              "' AND size_bytes = " + std::to_string(content.size()));
  };
  auto result = proposal_of(1, 100);
  result.add_contents(answer);
  result.add_contents("");
  result.add_contents(answer);
  SECTION("counted, and again") {
    REQUIRE(service.codegen.finish(lease, result).ok());
    REQUIRE(service.codegen.finish(lease, result).ok());
  }
  SECTION("too late") {
    REQUIRE(eventually(
        [&] { return count(service, "attempt WHERE outcome IN ('lost', 'dropped')") > 0; }));
    CHECK(is_lease_lost(service.codegen.finish(lease, result)));
  }
  CHECK(digest_of(answer) == 1);
  CHECK(digest_of("") == 1);
  BlobClient blobs(service.coordinator.channel(), nullptr);
  CHECK(blobs.download(sha256_hex(answer), {}).value() == answer);
  result.add_contents(std::string((1 << 20) + 1, 'x'));
  CHECK(service.codegen.finish(lease, result).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("calls: a wait that one client was told keeps the others away",
          "[integration][coordinator]") {
  TwoClients bench;
  auto mine = make_begin(bench.one, bench.lease, 1);
  auto theirs = make_begin(bench.other, bench.other_lease, 1);
  *mine.mutable_limits() = limits_of("paused");
  *theirs.mutable_limits() = mine.limits();
  CHECK(wait_of(bench.one, mine) == milliseconds(0));
  REQUIRE(end(bench.one, mine, 0, milliseconds(90'000)).ok());
  const auto wait = wait_of(bench.other, theirs);
  CHECK(wait > milliseconds(30'000));
  CHECK(wait <= milliseconds(90'000));
}

TEST_CASE("calls: the place of a client that died is free when its lease is over",
          "[integration][coordinator]") {
  Service service({.lease = kShortLease});
  const auto dead_lease = claim_proposal(service, service.codegen, "dead");
  auto dead = make_begin(service.codegen, dead_lease, 1);
  *dead.mutable_limits() = limits_of("one place");
  dead.mutable_limits()->set_parallel(1);
  REQUIRE(wait_of(service.codegen, dead) == milliseconds(0));
  ScriptedAgent next(service.coordinator.channel(), agent::v1::AGENT_KIND_CODEGEN, "next");
  const auto try_call = [&] {
    const auto claimed = next.claim(1);
    REQUIRE(claimed.size() == 1);
    auto call = make_begin(next, claimed.front().lease(), 1);
    *call.mutable_limits() = dead.limits();
    return wait_of(next, call);
  };
  CHECK(try_call() > milliseconds(0));
  REQUIRE(eventually([&] { return count(service, "open_call") == 0; }));
  CHECK(try_call() == milliseconds(0));
}

TEST_CASE("calls: what is wrong with one is said field by field", "[integration][coordinator]") {
  Service service;
  const auto lease = claim_proposal(service, service.codegen, "wrong");
  auto call = make_begin(service.codegen, lease, 0);
  call.mutable_limits()->set_requests_per_minute(-1);
  const auto status = begin(service.codegen, call);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  std::string fields;
  for (const auto& one : rpc::details_of(status).field_violations) fields += one.field + " ";
  CHECK(fields == "number limits.requests_per_minute limits.group ");
}
