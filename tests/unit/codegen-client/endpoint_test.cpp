#include <catch2/catch_test_macros.hpp>
#include <string>
#include <thread>

#include "codegen-client/app/endpoint.hpp"
#include "tests/unit/codegen-client/fakes.hpp"

using namespace cambrian::codegen;
using namespace std::chrono_literals;

namespace {

struct Bench {
  explicit Bench(std::deque<Sending> script,
                 EndpointSettings settings = {.name = "e", .models = {"m"}})
      : model(std::move(script)), endpoint(std::move(settings), model, clock, observer, 1) {}

  Call call(const std::string& prompt = "hello") {
    ChatRequest request{.model = "m", .output_tokens = 100};
    request.messages = {{.role = Role::user, .content = prompt}};
    return endpoint.call(request, ledger, stop.get_token());
  }

  ManualClock clock;
  RecordingObserver observer;
  MemoryLedger ledger;
  ScriptedModel model;
  Endpoint endpoint;
  std::stop_source stop;
};

FailureKind kind_of(const Call& call) {
  REQUIRE(std::holds_alternative<CallFailure>(call.outcome));
  return std::get<CallFailure>(call.outcome).kind;
}

}  // namespace

TEST_CASE("endpoint: an answer is accounted for", "[unit][endpoint]") {
  Bench bench({reply_of("ok")},
              {.name = "e",
               .models = {"m"},
               .prices = {.prompt_usd_per_million = 1, .completion_usd_per_million = 10}});
  const Call call = bench.call();
  CHECK(std::get<ChatReply>(call.outcome).content == "ok");
  CHECK(call.record.endpoint == "e");
  CHECK(call.record.model == "m-2026");
  CHECK(call.record.usage == TokenUsage{.prompt_tokens = 1000, .completion_tokens = 100});
  CHECK(call.record.cost_micro_usd == 2000);
  CHECK(call.record.finish_reason == "stop");
  CHECK(call.record.retries == 0);
  CHECK(call.record.latency == 20ms);
  CHECK_FALSE(call.record.is_outcome_unknown);
  CHECK(call.record.prompt_digest.size() == 64);
  CHECK(bench.observer.sendings.size() == 1);
}

TEST_CASE("endpoint: transient failures are retried, and unknown outcomes are charged",
          "[unit][endpoint]") {
  Bench bench({failure_of(FailureKind::server), failure_of(FailureKind::cut), reply_of("ok")});
  const auto start = bench.clock.now();
  const Call call = bench.call();
  CHECK(std::get<ChatReply>(call.outcome).content == "ok");
  CHECK(call.record.retries == 2);
  CHECK(call.record.is_outcome_unknown);
  CHECK(call.record.usage.prompt_tokens > 1000);
  CHECK(bench.clock.now() > start);
  CHECK(bench.model.requests.size() == 3);
  // Each sending was seen alone, by the model that was asked for.
  const auto& seen = bench.observer.sendings;
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].second == FailureKind::server);
  CHECK(seen[1].second == FailureKind::cut);
  CHECK_FALSE(seen[2].second);
  CHECK(seen[2].first.usage == TokenUsage{.prompt_tokens = 1000, .completion_tokens = 100});
  CHECK(seen[2].first.retries == 2);
  CHECK(bench.observer.models == std::vector<std::string>{"m", "m", "m"});
}

TEST_CASE("endpoint: gives up after the retries", "[unit][endpoint]") {
  Bench bench({failure_of(FailureKind::server)}, {.name = "e", .models = {"m"}, .retries = 1});
  const Call call = bench.call();
  CHECK(kind_of(call) == FailureKind::server);
  CHECK(call.record.finish_reason == "error");
  CHECK(bench.model.requests.size() == 2);
  CHECK(call.record.usage == TokenUsage{});
}

TEST_CASE("endpoint: what cannot be mended is not retried", "[unit][endpoint]") {
  for (const FailureKind kind : {FailureKind::no_quota, FailureKind::refused_request,
                                 FailureKind::unauthorized, FailureKind::too_large}) {
    Bench bench({failure_of(kind)});
    CHECK(kind_of(bench.call()) == kind);
    CHECK(bench.model.requests.size() == 1);
  }
}

TEST_CASE("endpoint: usage is estimated where the server does not count", "[unit][endpoint]") {
  Sending sending = reply_of("four words of answer");
  std::get<ChatReply>(sending.outcome).usage.reset();
  Bench bench({sending});
  const Call call = bench.call("hello world");
  CHECK(call.record.usage == TokenUsage{.prompt_tokens = 6, .completion_tokens = 4});
}

TEST_CASE("endpoint: thoughts are not free where the server does not count", "[unit][endpoint]") {
  Sending sending = reply_of("four words of answer");
  auto& reply = std::get<ChatReply>(sending.outcome);
  reply.thought_bytes = 4001;
  reply.usage.reset();
  CHECK(Bench({sending}).call("hello world").record.usage.completion_tokens == 4 + 1001);
  reply.usage = TokenUsage{.prompt_tokens = 20};
  const auto usage = Bench({sending}).call("hello world").record.usage;
  CHECK(usage.completion_tokens == 4 + 1001);
  CHECK(usage.prompt_tokens == 20);
}

TEST_CASE("endpoint: an unknown outcome without a stream costs the whole answer",
          "[unit][endpoint]") {
  Sending whole = failure_of(FailureKind::timed_out);
  Bench bench({whole}, {.name = "e", .models = {"m"}, .retries = 0});
  CHECK(bench.call("hello world").record.usage ==
        TokenUsage{.prompt_tokens = 6, .completion_tokens = 100});
  Sending streamed = failure_of(FailureKind::timed_out);
  streamed.was_streamed = true;
  std::get<CallFailure>(streamed.outcome).completion_tokens = 7;
  Bench other({streamed}, {.name = "e", .models = {"m"}, .retries = 0});
  CHECK(other.call("hello world").record.usage ==
        TokenUsage{.prompt_tokens = 6, .completion_tokens = 7});
  Sending unsent = failure_of(FailureKind::cancelled);
  unsent.was_sent = false;
  const Call call = Bench({unsent}).call();
  CHECK(call.record.usage == TokenUsage{});
  CHECK_FALSE(call.record.is_outcome_unknown);
}

TEST_CASE("endpoint: the endpoint's own context counts where it is smaller", "[unit][endpoint]") {
  Bench bench({reply_of("ok")}, {.name = "e", .models = {"m"}, .context_tokens = 4096});
  CHECK(bench.endpoint.context_tokens() == 4096);
  bench.model.context = 8192;
  CHECK(bench.endpoint.context_tokens() == 4096);
  bench.model.context = 2048;
  CHECK(bench.endpoint.context_tokens() == 2048);
}

TEST_CASE("endpoint: an answer to a part of the prompt is a failure", "[unit][endpoint]") {
  Bench bench({reply_of("ok")});
  std::string prompt;
  for (int i = 0; i < 5000; ++i) prompt += "word ";
  const Call call = bench.call(prompt);
  CHECK(kind_of(call) == FailureKind::prompt_cut);
  CHECK(std::get<CallFailure>(call.outcome).message.find("context") != std::string::npos);
  CHECK(call.record.usage.prompt_tokens == 1000);  // It was charged all the same.
  CHECK(call.record.finish_reason == "error");
  CHECK(bench.model.requests.size() == 1);
}

TEST_CASE("endpoint: short prompts are watched too", "[unit][endpoint]") {
  Sending sending = reply_of("ok");
  std::get<ChatReply>(sending.outcome).usage = TokenUsage{.prompt_tokens = 128};
  Bench bench({sending});
  std::string prompt;
  for (int i = 0; i < 300; ++i) prompt += "word ";
  CHECK(kind_of(bench.call(prompt)) == FailureKind::prompt_cut);
}

TEST_CASE("endpoint: a server that counts no prompt tokens is believed, not charged as free",
          "[unit][endpoint]") {
  Sending sending = reply_of("ok");
  std::get<ChatReply>(sending.outcome).usage = TokenUsage{.completion_tokens = 9};
  Bench bench({sending});
  const Call call = bench.call("hello world");
  CHECK(std::holds_alternative<ChatReply>(call.outcome));
  CHECK(call.record.usage == TokenUsage{.prompt_tokens = 6, .completion_tokens = 9});
}

TEST_CASE("endpoint: what was never sent is not charged", "[unit][endpoint]") {
  Bench bench({reply_of("ok")}, {.name = "e", .models = {"m"}, .requests_per_minute = 1});
  bench.call();
  bench.stop.request_stop();
  const Call call = bench.call();  // It would have had to wait for the rate limit.
  CHECK(kind_of(call) == FailureKind::cancelled);
  CHECK_FALSE(call.record.is_outcome_unknown);
  CHECK(call.record.usage == TokenUsage{});
  CHECK(bench.model.requests.size() == 1);
}

TEST_CASE("endpoint: a wait of hours is not waited for, and keeps the others away",
          "[unit][endpoint]") {
  Sending limited = failure_of(FailureKind::rate_limited);
  std::get<CallFailure>(limited.outcome).retry_after = 3h;
  Bench bench({limited, reply_of("ok")});
  const auto start = bench.clock.now();
  CHECK(kind_of(bench.call()) == FailureKind::rate_limited);
  CHECK(bench.clock.now() == start);
  CHECK_FALSE(bench.endpoint.is_available());
  CHECK(kind_of(bench.call()) == FailureKind::not_sent);
  CHECK(bench.model.requests.size() == 1);
  CHECK(bench.clock.now() - start == Endpoint::kLimitWaitMax);
}

TEST_CASE("endpoint: the server's name for a request is kept", "[unit][endpoint]") {
  Sending sending = reply_of("ok");
  sending.request_id = "req-7";
  Bench bench({sending});
  CHECK(bench.call().record.request_id == "req-7");
}

TEST_CASE("endpoint: every sending is on record before it leaves, and ends there",
          "[unit][endpoint]") {
  Bench bench({failure_of(FailureKind::cut), reply_of("ok")},
              {.name = "e",
               .models = {"m"},
               .requests_per_minute = 600,
               .prices = {.prompt_usd_per_million = 1, .completion_usd_per_million = 10},
               .limit_group = "http://e/v1",
               .parallel_shared = 3});
  const Call call = bench.call("hello world");
  REQUIRE(bench.ledger.begun.size() == 2);
  const CallIntent& intent = bench.ledger.begun[0];
  CHECK(intent.model == "m");
  CHECK(intent.endpoint == "e");
  CHECK(intent.prompt_digest == call.record.prompt_digest);
  CHECK(intent.prompt_tokens == 6);
  CHECK(intent.output_tokens == 100);
  CHECK(intent.cost_micro_usd == 6 + 1000);
  CHECK(intent.limits.group == "http://e/v1");
  CHECK(intent.limits.requests_per_minute == 600);
  CHECK(intent.limits.parallel == 3);
  // Each sending alone; the record of the call has both.
  CHECK(bench.ledger.ended.at(1).is_outcome_unknown);
  CHECK(bench.ledger.ended.at(1).usage == TokenUsage{.prompt_tokens = 6, .completion_tokens = 100});
  CHECK(bench.ledger.ended.at(2).usage ==
        TokenUsage{.prompt_tokens = 1000, .completion_tokens = 100});
  CHECK(call.record.usage.prompt_tokens == 1006);
}

TEST_CASE("endpoint: what cannot be put on record is not sent", "[unit][endpoint]") {
  const auto kind_after = [](cambrian::Errc code) {
    Bench bench({reply_of("ok")});
    bench.ledger.refusal = cambrian::Error{code, "no"};
    const Call call = bench.call();
    CHECK(bench.model.requests.empty());
    CHECK(call.record.usage == TokenUsage{});
    CHECK_FALSE(call.record.is_outcome_unknown);
    CHECK(call.record.retries == 0);
    return kind_of(call);
  };
  CHECK(kind_after(cambrian::Errc::cancelled) == FailureKind::cancelled);
  CHECK(kind_after(cambrian::Errc::exhausted) == FailureKind::not_sent);
  CHECK(kind_after(cambrian::Errc::unavailable) == FailureKind::not_sent);
}

TEST_CASE("endpoint: what cannot be sent again keeps the first cause", "[unit][endpoint]") {
  Bench bench({failure_of(FailureKind::server), reply_of("ok")});
  bench.clock.on_next_wait = [&] {
    bench.ledger.refusal = cambrian::Error{cambrian::Errc::exhausted, "no room"};
  };
  const Call call = bench.call();
  CHECK(kind_of(call) == FailureKind::server);
  CHECK(std::get<CallFailure>(call.outcome).message == "as scripted; not sent again: no room");
  CHECK(call.record.retries == 0);
  CHECK(call.record.finish_reason == "error");
  REQUIRE(bench.observer.sendings.size() == 2);
  CHECK(bench.observer.sendings[1].second == FailureKind::not_sent);
}

TEST_CASE("endpoint: the others hear of a server's wait", "[unit][endpoint]") {
  Sending limited = failure_of(FailureKind::rate_limited);
  std::get<CallFailure>(limited.outcome).retry_after = 30s;
  Bench bench({limited, reply_of("ok")});
  bench.call();
  REQUIRE(bench.ledger.pauses.size() == 2);
  CHECK(bench.ledger.pauses[0] == 30s);
  CHECK_FALSE(bench.ledger.pauses[1]);
}

TEST_CASE("endpoint: the circuit opens, holds calls back, and closes again", "[unit][endpoint]") {
  std::deque<Sending> script(CircuitBreaker::kFailuresMax, failure_of(FailureKind::connect));
  script.push_back(reply_of("back"));
  Bench bench(std::move(script), {.name = "e", .models = {"m"}, .retries = 0});
  for (int i = 0; i < CircuitBreaker::kFailuresMax; ++i) bench.call();
  CHECK_FALSE(bench.observer.is_endpoint_available);
  const auto start = bench.clock.now();
  const Call call = bench.call();
  CHECK(std::get<ChatReply>(call.outcome).content == "back");
  CHECK(bench.clock.now() - start >= CircuitBreaker::kOpenFirst);
  CHECK(bench.observer.is_endpoint_available);
}

TEST_CASE("endpoint: an open circuit ends a call after a while", "[unit][endpoint]") {
  Bench bench({failure_of(FailureKind::connect)}, {.name = "e", .models = {"m"}, .retries = 0});
  FailureKind last = FailureKind::connect;
  std::chrono::nanoseconds longest{0};
  for (int i = 0; i < 30 && last != FailureKind::circuit_open; ++i) {
    const auto start = bench.clock.now();
    last = kind_of(bench.call());
    longest = std::max(longest, bench.clock.now() - start);
  }
  CHECK(last == FailureKind::circuit_open);
  CHECK(longest <= Endpoint::kCircuitWaitMax + 1s);
}

TEST_CASE("endpoint: rate limits delay calls", "[unit][endpoint]") {
  Bench bench({reply_of("ok")}, {.name = "e", .models = {"m"}, .requests_per_minute = 30});
  const auto start = bench.clock.now();
  for (int i = 0; i < 13; ++i) bench.call();  // 3 at once, then one in two seconds.
  CHECK(bench.clock.now() - start >= 19s);
  CHECK(bench.clock.now() - start <= 21s);
}

TEST_CASE("endpoint: a rate limit of the server holds every call", "[unit][endpoint]") {
  Sending limited = failure_of(FailureKind::rate_limited);
  std::get<CallFailure>(limited.outcome).retry_after = 30s;
  Bench bench({limited, reply_of("ok")});
  const auto start = bench.clock.now();
  std::chrono::nanoseconds other_waited{};
  bench.clock.on_next_wait = [&] {
    CHECK(std::get<ChatReply>(bench.call().outcome).content == "ok");
    other_waited = bench.clock.now() - start;
  };
  CHECK(std::get<ChatReply>(bench.call().outcome).content == "ok");
  CHECK(other_waited == 30s);
}

TEST_CASE("endpoint: runs fewer calls at once after a 429", "[unit][endpoint]") {
  Sending limited = failure_of(FailureKind::rate_limited);
  Bench bench({limited, reply_of("ok")}, {.name = "e", .models = {"m"}, .parallel = 2});
  bool has_room = true;
  bench.clock.on_next_wait = [&] {
    // The first call waits for its second try: its place is the only one that is left.
    std::stop_source stop;
    std::jthread stopper([&] {
      std::this_thread::sleep_for(20ms);
      stop.request_stop();
    });
    ChatRequest request{.model = "m", .output_tokens = 100};
    request.messages = {{.role = Role::user, .content = "hello"}};
    const Call other = bench.endpoint.call(request, bench.ledger, stop.get_token());
    has_room = std::holds_alternative<ChatReply>(other.outcome);
  };
  CHECK(std::get<ChatReply>(bench.call().outcome).content == "ok");
  CHECK_FALSE(has_room);
}

TEST_CASE("endpoint: a stop ends a call at once", "[unit][endpoint]") {
  Bench bench({reply_of("ok")});
  bench.stop.request_stop();
  CHECK(kind_of(bench.call()) == FailureKind::cancelled);
}
