#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>

#include "codegen-client/adapters/openai/openai_model.hpp"
#include "codegen-client/adapters/openai/probed_model.hpp"
#include "codegen-client/app/endpoint.hpp"
#include "codegen-client/domain/sse.hpp"
#include "codegen-client/system_clock.hpp"
#include "tests/integration/codegen-client/fault_server.hpp"
#include "tests/unit/codegen-client/fakes.hpp"

using namespace cambrian::codegen;
using namespace cambrian::codegen::test;
using namespace std::chrono_literals;
using cambrian::Secret;
using cambrian::codegen::openai::ModelOptions;
using cambrian::codegen::openai::OpenAiModel;
using nlohmann::json;

namespace {

constexpr const char* kCanary = "sk-canary-4f9d81c2a7";

/// A model against a server that answers from a list, the last one again and again.
struct Bench {
  explicit Bench(std::vector<Script> scripts, ModelOptions options = {})
      : server([list = std::move(scripts), i = std::size_t{0}](const Request&) mutable {
          return list[std::min(i++, list.size() - 1)];
        }),
        model(with_url(std::move(options), server.url()), Secret(kCanary)),
        endpoint({.name = "e", .models = {"m"}}, model, clock, observer, 1) {}

  static ModelOptions with_url(ModelOptions options, const std::string& url) {
    options.base_url = url;
    return options;
  }
  static ChatRequest request() {
    ChatRequest request{.model = "m", .output_tokens = 100, .seed = 5};
    request.messages = {{.role = Role::user, .content = "hello"}};
    return request;
  }
  Sending send() { return model.send(request(), stop.get_token()); }
  Call call() { return endpoint.call(request(), ledger, stop.get_token()); }

  FaultServer server;
  SystemClock clock;
  RecordingObserver observer;
  MemoryLedger ledger;
  OpenAiModel model;
  Endpoint endpoint;
  std::stop_source stop;
};

const ChatReply& reply_in(const std::variant<ChatReply, CallFailure>& outcome) {
  if (const auto* failure = std::get_if<CallFailure>(&outcome)) FAIL(*failure);
  return std::get<ChatReply>(outcome);
}

const CallFailure& failure_in(const std::variant<ChatReply, CallFailure>& outcome) {
  REQUIRE(std::holds_alternative<CallFailure>(outcome));
  return std::get<CallFailure>(outcome);
}

std::string error_body(const std::string& message, const std::string& code = "x") {
  return json(
             {{"error", {{"message", message}, {"type", "t"}, {"param", nullptr}, {"code", code}}}})
      .dump();
}

std::string http_date(std::chrono::seconds ahead) {
  const std::time_t time =
      std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + ahead);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text.data();
}

class Stopwatch {
 public:
  std::chrono::milliseconds elapsed() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 start_);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

TEST_CASE("openai: sends what the protocol asks for over one connection", "[integration][openai]") {
  Bench bench({completion("hi")});
  for (int i = 0; i < 5; ++i) {
    const Sending sending = bench.send();
    const ChatReply& reply = reply_in(sending.outcome);
    CHECK(reply.content == "hi");
    CHECK(reply.model == "served-model");
    CHECK(reply.usage == TokenUsage{.prompt_tokens = 20, .completion_tokens = 5});
  }
  CHECK(bench.server.connections() == 1);
  const auto requests = bench.server.requests();
  REQUIRE(requests.size() == 5);
  CHECK(requests[0].method == "POST");
  CHECK(requests[0].target == "/v1/chat/completions");
  CHECK(requests[0].headers.at("authorization") == std::string("Bearer ") + kCanary);
  CHECK(requests[0].headers.at("content-type") == "application/json");
  CHECK(requests[0].headers.at("accept") == "application/json");
  CHECK_FALSE(requests[0].headers.contains("expect"));
  const json body = json::parse(requests[0].body);
  CHECK(body["messages"][0]["content"] == "hello");
  CHECK(body["max_tokens"] == 100);
  CHECK_FALSE(body.contains("stream"));
}

TEST_CASE("openai: a stream may come in any pieces", "[integration][openai]") {
  std::string text;
  const std::string snowman = "\xe2\x98\x83";
  for (const std::string& event :
       {delta(""), delta("a" + snowman), delta("b"), delta("", "stop"),
        std::string(R"({"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":3}})"),
        std::string("[DONE]")}) {
    text += ": keep-alive\r\ndata: " + event + "\r\n\r\n";
  }
  Script script{
      .pieces = {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"},
      .keeps_open = false};
  for (std::size_t i = 0; i < text.size(); i += 37) script.pieces.push_back(text.substr(i, 37));
  script.pause = 5ms;
  Bench bench({script}, {.stream = true});
  const Sending sending = bench.send();
  const ChatReply& reply = reply_in(sending.outcome);
  CHECK(reply.content == "a" + snowman + "b");
  CHECK(reply.usage == TokenUsage{.prompt_tokens = 20, .completion_tokens = 3});
  REQUIRE(sending.time_to_first_token);
  CHECK(*sending.time_to_first_token > 0ms);
  CHECK(*sending.time_to_first_token < sending.latency);
  const json body = json::parse(bench.server.requests().at(0).body);
  CHECK(body["stream"] == true);
  CHECK(body["stream_options"]["include_usage"] == true);
  CHECK(bench.server.requests().at(0).headers.at("accept") == "text/event-stream");
}

TEST_CASE("openai: a server that does not stream is understood", "[integration][openai]") {
  Bench bench({completion("whole")}, {.stream = true});
  CHECK(reply_in(bench.send().outcome).content == "whole");
}

TEST_CASE("openai: a rate limit is waited for, in every form of Retry-After",
          "[integration][openai]") {
  const std::string body = error_body("slow down", "rate_limit_exceeded");
  struct Form {
    std::string header;
    std::chrono::milliseconds least;
    std::chrono::milliseconds most;
  };
  for (const Form& form :
       // The date first: it is made now. Dates have whole seconds.
       {Form{"Retry-After: " + http_date(2s) + "\r\n", 800ms, 2600ms},
        Form{"retry-after-ms: 300\r\n", 300ms, 900ms}, Form{"Retry-After: 1\r\n", 1000ms, 1600ms},
        Form{"Retry-After: 0.4\r\n", 400ms, 1000ms}, Form{"Retry-After: whenever\r\n", 0ms, 1100ms},
        Form{"", 0ms, 1100ms}}) {
    INFO(form.header);
    Bench bench({http(429, body, form.header), completion("ok")});
    const Stopwatch watch;
    const Call call = bench.call();
    CHECK(reply_in(call.outcome).content == "ok");
    CHECK(call.record.retries == 1);
    CHECK_FALSE(call.record.is_outcome_unknown);
    CHECK(watch.elapsed() >= form.least);
    CHECK(watch.elapsed() <= form.most);
  }
}

TEST_CASE("openai: the server's name for a request is kept, of good answers too",
          "[integration][openai]") {
  const std::string body = completion("hi").pieces[0];
  const std::string json_body = body.substr(body.find('{'));
  Bench named({http(200, json_body, "x-request-id: req-42\r\n")});
  CHECK(named.call().record.request_id == "req-42");
  Bench unnamed({http(200, json_body)});
  CHECK(unnamed.call().record.request_id == json::parse(json_body).at("id").get<std::string>());
  Bench failed({http(400, error_body("no"), "x-request-id: req-43\r\n")});
  const Call call = failed.call();
  CHECK(call.record.request_id == "req-43");
  CHECK(failure_in(call.outcome).message.find("request_id=req-43") != std::string::npos);
}

TEST_CASE("openai: a wait that is too long, and an empty account, are not retried",
          "[integration][openai]") {
  Bench far({http(429, error_body("tomorrow"), "Retry-After: 500\r\n")});
  const Call call = far.call();
  CHECK(failure_in(call.outcome).kind == FailureKind::rate_limited);
  CHECK(failure_in(call.outcome).message.find("500 s") != std::string::npos);
  CHECK(far.server.requests().size() == 1);
  Bench quota({http(429, error_body("pay first", "insufficient_quota"), "Retry-After: 1\r\n")});
  CHECK(failure_in(quota.call().outcome).kind == FailureKind::no_quota);
  CHECK(quota.server.requests().size() == 1);
  Bench credits({http(402, error_body("no credits"))});
  CHECK(failure_in(credits.call().outcome).kind == FailureKind::no_quota);
  CHECK(credits.server.requests().size() == 1);
}

TEST_CASE("openai: transient statuses are retried, others are not", "[integration][openai]") {
  for (const int status : {408, 409, 500, 502, 503, 529}) {
    Bench bench({http(status, "<html>busy</html>", "retry-after-ms: 10\r\n"), completion("ok")});
    const Call call = bench.call();
    CHECK(reply_in(call.outcome).content == "ok");
    CHECK(bench.server.requests().size() == 2);
  }
  for (const int status : {301, 400, 401, 403, 404, 413, 422}) {
    Bench bench({http(status, error_body("no"), "Location: http://127.0.0.1:1/\r\n")});
    CHECK(failure_in(bench.call().outcome).status == status);
    CHECK(bench.server.requests().size() == 1);
  }
  Bench asked({http(500, error_body("no"), "x-should-retry: false\r\n")});
  asked.call();
  CHECK(asked.server.requests().size() == 1);
}

TEST_CASE("openai: broken connections are failures of unknown outcome", "[integration][openai]") {
  const std::string whole = completion("never complete").pieces[0];
  const Script cut{.pieces = {whole.substr(0, whole.size() - 20)}, .keeps_open = false};
  const Script nothing{.pieces = {""}, .keeps_open = false};
  for (const Script& script : {cut, nothing}) {
    Bench bench({script});
    const CallFailure failure = failure_in(bench.send().outcome);
    CHECK(failure.kind == FailureKind::cut);
    CHECK(failure.is_outcome_unknown());
  }
  Bench streamed({event_stream({delta("half of"), delta(" the answer")})}, {.stream = true});
  CHECK(failure_in(streamed.send().outcome).kind == FailureKind::cut);
  Bench without_done({event_stream({delta("all"), delta("", "stop")})}, {.stream = true});
  CHECK(reply_in(without_done.send().outcome).content == "all");
}

TEST_CASE("openai: an error inside a 200 or inside a stream is a failure",
          "[integration][openai]") {
  Bench bench({http(200, error_body("upstream broke", "502"))});
  CHECK(failure_in(bench.send().outcome).kind == FailureKind::server);
  Bench streamed({event_stream({delta("half"), error_body("boom"), "[DONE]"})}, {.stream = true});
  const Sending sending = streamed.send();
  CHECK(failure_in(sending.outcome).kind == FailureKind::server);
  CHECK(failure_in(sending.outcome).message == "boom");
  CHECK(failure_in(sending.outcome).is_outcome_unknown());
  CHECK(failure_in(sending.outcome).completion_tokens > 0);
}

TEST_CASE("openai: silence ends a stream, slow bytes do not", "[integration][openai]") {
  Script stalled = event_stream({delta("first")});
  stalled.hold = 20s;
  Bench silent({stalled}, {.stream = true, .timeout_idle = 1s});
  const Stopwatch watch;
  CHECK(failure_in(silent.send().outcome).kind == FailureKind::timed_out);
  CHECK(watch.elapsed() < 4s);
  Script slow = event_stream({delta("a"), delta("b"), delta("c"), delta("d", "stop"), "[DONE]"});
  slow.pause = 400ms;
  Bench steady({slow}, {.stream = true, .timeout_idle = 1s});
  CHECK(reply_in(steady.send().outcome).content == "abcd");
}

TEST_CASE("openai: the total time is bounded", "[integration][openai]") {
  Bench bench({Script{.pieces = {""}, .hold = 20s}}, {.timeout_total = 700ms});
  const Stopwatch watch;
  CHECK(failure_in(bench.send().outcome).kind == FailureKind::timed_out);
  CHECK(watch.elapsed() < 3s);
}

TEST_CASE("openai: a stop ends a call that waits", "[integration][openai]") {
  Bench bench({Script{.pieces = {""}, .hold = 20s}});
  const Stopwatch watch;
  std::jthread stopper([&bench] {
    SystemClock().wait(300ms, {});
    bench.stop.request_stop();
  });
  CHECK(failure_in(bench.call().outcome).kind == FailureKind::cancelled);
  CHECK(watch.elapsed() < 3s);
}

TEST_CASE("openai: garbage and floods are failures", "[integration][openai]") {
  Bench html({http(200, "<html>hello</html>")});
  CHECK(failure_in(html.send().outcome).kind == FailureKind::malformed);
  Bench named({http(400, error_body("no"), "x-request-id: req-17\r\n")});
  CHECK(failure_in(named.send().outcome).message == "HTTP 400: no request_id=req-17");
  Bench binary({http(200, std::string("\x00\xff\xfe\x01", 4))});
  CHECK(failure_in(binary.send().outcome).kind == FailureKind::malformed);
  Bench not_http({Script{.pieces = {"SSH-2.0-OpenSSH_9.9\r\n"}, .keeps_open = false}});
  CHECK(std::holds_alternative<CallFailure>(not_http.send().outcome));
  const std::string flood(OpenAiModel::kReplyBytesMax + 1, 'x');
  Bench large({http(200, flood)});
  CHECK(failure_in(large.send().outcome).kind == FailureKind::too_large);
  Bench larger({http(200, flood + flood)}, {.stream = true});
  CHECK(failure_in(larger.send().outcome).kind == FailureKind::too_large);
  Bench endless({event_stream({std::string(SseParser::kEventBytesMax + 1, 'x')})},
                {.stream = true});
  CHECK(failure_in(endless.send().outcome).kind == FailureKind::too_large);
  Bench error_flood({http(500, flood)});
  CHECK(failure_in(error_flood.send().outcome).message.size() <= 512);
}

TEST_CASE("openai: refused fields are adapted to once", "[integration][openai]") {
  const auto handler = [](const Request& request) {
    const json body = json::parse(request.body);
    if (body.contains("max_tokens")) {
      return http(400, json({{"error",
                              {{"message", "Unsupported parameter: 'max_tokens'"},
                               {"type", "invalid_request_error"},
                               {"param", "max_tokens"},
                               {"code", "unsupported_parameter"}}}})
                           .dump());
    }
    if (body.contains("stream_options")) {
      return http(
          422,
          R"({"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs not permitted"}]})");
    }
    return event_stream({delta("ok", "stop"), "[DONE]"});
  };
  FaultServer server(handler);
  OpenAiModel model({.base_url = server.url(), .stream = true}, Secret());
  CHECK(reply_in(model.send(Bench::request(), {}).outcome).content == "ok");
  CHECK(server.requests().size() == 3);
  CHECK(model.capabilities("m").token_limit_field == "max_completion_tokens");
  CHECK(reply_in(model.send(Bench::request(), {}).outcome).content == "ok");
  CHECK(server.requests().size() == 4);
  // Another model behind the same endpoint may well take them.
  CHECK(model.capabilities("other").token_limit_field == "max_tokens");
  CHECK(model.capabilities("other").refused_fields.empty());
  CHECK_FALSE(server.requests()[3].headers.contains("authorization"));
}

TEST_CASE("openai: probing tolerates servers without a list", "[integration][openai]") {
  Bench listed(
      {http(200, R"({"object":"list","data":[{"id":"m","max_model_len":8192},{"id":"n"}]})")});
  const auto probe = listed.model.probe({});
  CHECK(probe.models == std::vector<std::string>{"m", "n"});
  CHECK(probe.context_tokens == 8192);
  CHECK(listed.server.requests().at(0).target == "/v1/models");
  FaultServer llama([](const Request& request) {
    return request.target == "/props"
               ? http(200, R"({"default_generation_settings":{"n_ctx":4096},"total_slots":1})")
               : http(200, R"({"object":"list","data":[{"id":"m","owned_by":"llamacpp"}]})");
  });
  CHECK(OpenAiModel({.base_url = llama.url()}, Secret()).probe({}).context_tokens == 4096);
  Bench without({http(404, "not found")});
  CHECK_FALSE(without.model.probe({}).models);
  CHECK_FALSE(without.model.probe({}).failure);
  Bench locked({http(401, error_body("wrong key"))});
  REQUIRE(locked.model.probe({}).failure);
  CHECK(locked.model.probe({}).failure->kind == FailureKind::unauthorized);
  Bench strange({http(200, "[[[")});
  CHECK_FALSE(strange.model.probe({}).models);
}

TEST_CASE("openai: a dead endpoint is named with its URL", "[integration][openai]") {
  std::string url;
  {
    FaultServer server([](const Request&) { return http(200, ""); });
    url = server.url();
  }
  OpenAiModel model({.base_url = url}, Secret(kCanary));
  const Sending sending = model.send(Bench::request(), {});
  const CallFailure& failure = failure_in(sending.outcome);
  CHECK(failure.kind == FailureKind::connect);
  CHECK_FALSE(failure.is_outcome_unknown());
  CHECK(failure.message.find(url) != std::string::npos);
  CHECK(failure.message.find("is the server running") != std::string::npos);
  OpenAiModel nowhere({.base_url = "http://host.invalid/v1"}, Secret(kCanary));
  CHECK(failure_in(nowhere.send(Bench::request(), {}).outcome).kind == FailureKind::connect);
}

TEST_CASE("openai: a long answer of one token an event is no flood", "[integration][openai]") {
  // As hosted models stream: some 330 bytes for each token.
  const std::string names(180, 'n');
  std::string text;
  constexpr int kTokens = 10'000;
  for (int i = 0; i < kTokens; ++i) {
    text += R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",)"
            R"("system_fingerprint":")" +
            names + R"(","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]})" +
            "\n\n";
  }
  text += "data: " + delta("", "stop") + "\n\ndata: [DONE]\n\n";
  REQUIRE(text.size() > OpenAiModel::kReplyBytesMax);
  const Script script{
      .pieces = {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + text},
      .keeps_open = false};
  Bench bench({script}, {.stream = true});
  ChatRequest request = Bench::request();
  request.output_tokens = 16'000;
  CHECK(reply_in(bench.model.send(request, {}).outcome).content.size() == kTokens);
  // Far more than was asked for is one.
  CHECK(failure_in(bench.send().outcome).kind == FailureKind::too_large);
}

TEST_CASE("openai: the rest behind the end of a stream is waited for, to keep the connection",
          "[integration][openai]") {
  const auto chunk = [](const std::string& event) {
    const std::string data = "data: " + event + "\n\n";
    std::array<char, 16> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", data.size());
    return size.data() + data + "\r\n";
  };
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  const std::string events = chunk(delta("ok", "stop")) + chunk("[DONE]");
  Bench bench({Script{.pieces = {head + events, "0\r\n\r\n"}, .pause = 100ms}}, {.stream = true});
  for (int i = 0; i < 3; ++i) {
    const Sending sending = bench.send();
    CHECK(reply_in(sending.outcome).content == "ok");
    CHECK(sending.latency < 90ms);  // The answer was there before.
  }
  CHECK(bench.server.connections() == 1);
  // Not for long.
  Bench endless({Script{.pieces = {head + events}, .hold = 20s}}, {.stream = true});
  const Stopwatch watch;
  CHECK(reply_in(endless.send().outcome).content == "ok");
  CHECK(watch.elapsed() < 4s);
}

TEST_CASE("openai: what hangs before it is connected was not sent", "[integration][openai]") {
  // It accepts, and never answers the handshake.
  FaultServer server([](const Request&) { return http(200, ""); });
  std::string url = server.url();
  url.replace(0, 4, "https");
  OpenAiModel model({.base_url = url, .timeout_total = 500ms}, Secret());
  const Sending late = model.send(Bench::request(), {});
  CHECK(failure_in(late.outcome).kind == FailureKind::connect);
  CHECK_FALSE(failure_in(late.outcome).is_outcome_unknown());
  CHECK_FALSE(late.was_sent);
  OpenAiModel patient({.base_url = url}, Secret());
  std::stop_source stop;
  std::jthread stopper([&stop] {
    SystemClock().wait(200ms, {});
    stop.request_stop();
  });
  const Sending stopped = patient.send(Bench::request(), stop.get_token());
  CHECK(failure_in(stopped.outcome).kind == FailureKind::cancelled);
  CHECK_FALSE(stopped.was_sent);
  // One that was sent stays in doubt, over a kept connection too.
  Bench bench({completion("ok"), Script{.pieces = {""}, .hold = 20s}}, {.timeout_total = 500ms});
  CHECK(bench.send().was_sent);
  const Sending doubtful = bench.send();
  CHECK(failure_in(doubtful.outcome).kind == FailureKind::timed_out);
  CHECK(doubtful.was_sent);
  CHECK(bench.server.connections() == 1);
}

TEST_CASE("openai: an endpoint that was away is asked about itself again",
          "[integration][openai]") {
  std::atomic<bool> is_loading = true;
  std::atomic<int> asked = 0;
  FaultServer server([&](const Request& request) {
    if (request.method == "GET") ++asked;
    if (is_loading) return http(503, error_body("loading"));
    if (request.method != "GET") return completion("ok");
    return http(200, R"({"data":[{"id":"m:latest","max_model_len":2048}]})");
  });
  openai::ProbedModel model(
      std::make_unique<OpenAiModel>(ModelOptions{.base_url = server.url()}, Secret()), "e", {"m"});
  model.probe({});
  CHECK_FALSE(model.context_tokens());
  CHECK(failure_in(model.send(Bench::request(), {}).outcome).status == 503);
  CHECK(asked == 1);
  is_loading = false;
  CHECK(reply_in(model.send(Bench::request(), {}).outcome).content == "ok");
  CHECK(model.context_tokens() == 2048);
  CHECK(reply_in(model.send(Bench::request(), {}).outcome).content == "ok");
  CHECK(asked == 2);  // Once.
}

TEST_CASE("openai: a word that stands for no key changes no answer", "[integration][openai]") {
  for (const char* key : {"x", "EMPTY", "none", "-"}) {
    FaultServer server([](const Request&) { return completion("x = EMPTY or none - x"); });
    OpenAiModel model({.base_url = server.url()}, Secret(key));
    CHECK(reply_in(model.send(Bench::request(), {}).outcome).content == "x = EMPTY or none - x");
  }
}

TEST_CASE("openai: no beginning of a long key is left at any cut", "[integration][openai]") {
  std::string key = "sk-";
  while (key.size() < 164) key += static_cast<char>('A' + key.size() % 26);
  const std::string head = key.substr(0, 8);
  std::atomic<int> lead = 0;
  FaultServer server([&lead](const Request& request) {
    const std::string words(static_cast<std::size_t>(lead), 'w');
    const std::string quoted = words + request.headers.at("authorization");
    const std::string headers = "x-request-id: " + quoted + "\r\nRetry-After: 500\r\n";
    if (request.method == "GET") return http(200, json({{"data", {{{"id", quoted}}}}}).dump());
    return http(429, error_body(quoted + " behind"), headers);
  });
  OpenAiModel model({.base_url = server.url()}, Secret(std::string(key)));
  for (lead = 0; lead < 520; lead += 5) {
    const Sending sending = model.send(Bench::request(), {});
    CHECK(failure_in(sending.outcome).message.find(head) == std::string::npos);
    CHECK(sending.request_id.find(head) == std::string::npos);
    const auto probe = model.probe({});
    REQUIRE(probe.models);
    CHECK(probe.models->at(0).find(head) == std::string::npos);
  }
}

TEST_CASE("openai: the key appears in no answer", "[integration][openai]") {
  FaultServer server([](const Request& request) {
    return http(200,
                json({{"id", request.headers.at("authorization")},
                      {"model", request.headers.at("authorization")},
                      {"choices",
                       {{{"finish_reason", "stop"},
                         {"message", {{"content", request.headers.at("authorization")}}}}}}})
                    .dump(),
                "x-request-id: " + request.headers.at("authorization") + "\r\n");
  });
  OpenAiModel model({.base_url = server.url()}, Secret(kCanary));
  const Sending sending = model.send(Bench::request(), {});
  const ChatReply& reply = reply_in(sending.outcome);
  for (const std::string& text : {reply.content, reply.model, reply.id, sending.request_id}) {
    CHECK(text.find(kCanary) == std::string::npos);
    CHECK(text.find("[redacted]") != std::string::npos);
  }
}

TEST_CASE("openai: the key appears in no error", "[integration][openai]") {
  const auto echo = [](const Request& request) {
    return http(401,
                error_body("Incorrect API key provided: " + request.headers.at("authorization")));
  };
  FaultServer server(echo);
  OpenAiModel model({.base_url = server.url()}, Secret(kCanary));
  const Sending sending = model.send(Bench::request(), {});
  const CallFailure& failure = failure_in(sending.outcome);
  CHECK(failure.kind == FailureKind::unauthorized);
  CHECK(failure.message.find(kCanary) == std::string::npos);
  CHECK(failure.message.find("[redacted]") != std::string::npos);
  const auto probe = model.probe({});
  REQUIRE(probe.failure);
  CHECK(probe.failure->message.find(kCanary) == std::string::npos);
}
