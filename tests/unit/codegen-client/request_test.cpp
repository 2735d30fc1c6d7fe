#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <type_traits>

#include "codegen-client/adapters/openai/http_client.hpp"
#include "codegen-client/adapters/openai/request_body.hpp"
#include "common/base/secret.hpp"

using namespace cambrian::codegen;
using namespace cambrian::codegen::openai;
using nlohmann::json;

namespace {

ChatRequest make_request() {
  ChatRequest request{.model = "m", .output_tokens = 77, .seed = 9};
  request.messages = {{.role = Role::system, .content = "s"},
                      {.role = Role::user, .content = "u\xff"}};
  request.temperature = 0.5;
  return request;
}

CallFailure refusal(const std::string& message, const std::string& parameter = "") {
  return {.kind = FailureKind::refused_request,
          .status = 400,
          .message = message,
          .parameter = parameter};
}

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

}  // namespace

TEST_CASE("request body: has what the protocol asks for and no more", "[unit][request]") {
  const json body = json::parse(make_body(make_request(), {}, {}));
  CHECK(body == json::parse(R"({"model":"m","max_tokens":77,"seed":9,"temperature":0.5,
      "messages":[{"role":"system","content":"s"},{"role":"user","content":"u\ufffd"}]})"));
  const json streamed =
      json::parse(make_body(make_request(), {}, {.stream = true, .extra_body = R"({"top_k":4})"}));
  CHECK(streamed["stream"] == true);
  CHECK(streamed["stream_options"]["include_usage"] == true);
  CHECK(streamed["top_k"] == 4);
}

TEST_CASE("capabilities: the token limit is renamed once when it is refused", "[unit][request]") {
  const auto first = adapt({}, refusal("Unsupported parameter: 'max_tokens' is not supported with "
                                       "this model. Use 'max_completion_tokens' instead.",
                                       "max_tokens"));
  REQUIRE(first);
  CHECK(first->token_limit_field == "max_completion_tokens");
  CHECK(json::parse(make_body(make_request(), *first, {}))["max_completion_tokens"] == 77);
  CHECK_FALSE(adapt(*first, refusal("Unrecognized request argument: max_completion_tokens")));
  CHECK_FALSE(adapt({}, refusal("max_tokens is too large: 100000", "max_tokens")));
}

TEST_CASE("capabilities: refused optional fields are left out", "[unit][request]") {
  Capabilities now;
  for (const char* field : {"stream_options", "seed", "temperature"}) {
    const auto next = adapt(now, refusal("Extra inputs are not permitted", field));
    REQUIRE(next);
    CHECK(next->refused_fields.contains(field));
    now = *next;
    CHECK_FALSE(adapt(now, refusal("Extra inputs are not permitted", field)));
  }
  const json body = json::parse(make_body(make_request(), now, {.stream = true}));
  CHECK_FALSE(body.contains("seed"));
  CHECK_FALSE(body.contains("temperature"));
  CHECK_FALSE(body.contains("stream_options"));
  CHECK_FALSE(
      adapt({}, {.kind = FailureKind::server, .status = 500, .message = "seed is not supported"}));
  CHECK_FALSE(adapt({}, refusal("the model is not supported")));
  CHECK_FALSE(adapt({}, refusal("max_tokens is too large: 5000. This model supports at most 4096 "
                                "completion tokens, whereas you provided 5000")));
}

TEST_CASE("extra_body: what a server refuses is left out of it too", "[unit][request]") {
  const Capabilities known{.refused_fields = {"seed", "temperature"}};
  const json body = json::parse(make_body(
      make_request(), known, {.extra_body = R"({"seed":1,"temperature":0.2,"top_k":4})"}));
  CHECK_FALSE(body.contains("seed"));
  CHECK_FALSE(body.contains("temperature"));
  CHECK(body["top_k"] == 4);
}

TEST_CASE("extra_body: must be an object and leave our fields alone", "[unit][request]") {
  CHECK(check_extra_body(""));
  CHECK(check_extra_body(R"({"top_k": 40})"));
  CHECK_FALSE(check_extra_body("[1]"));
  CHECK_FALSE(check_extra_body("{"));
  CHECK_FALSE(check_extra_body(R"({"messages": []})"));
  // Budgets are reserved by the campaign's limit.
  CHECK_FALSE(check_extra_body(R"({"max_tokens": 100000})"));
  CHECK_FALSE(check_extra_body(R"({"max_completion_tokens": 100000})"));
}

TEST_CASE("secret: cannot be printed or copied, and leaves nothing behind", "[unit][secret]") {
  using cambrian::Secret;
  STATIC_CHECK_FALSE(Printable<Secret>);
  STATIC_CHECK_FALSE(std::is_copy_constructible_v<Secret>);
  STATIC_CHECK_FALSE(std::is_convertible_v<Secret, std::string>);
  Secret key(std::string("sk-short"));
  Secret other(std::move(key));
  CHECK(key.is_empty());  // NOLINT(bugprone-use-after-move): that is the point.
  CHECK(other.reveal() == "sk-short");
  CHECK(other.redact("a sk-short b sk-short") == "a [redacted] b [redacted]");
  CHECK(Secret().redact("text") == "text");
  // A word that stands for no key, and a key whose text was cut.
  CHECK(Secret(std::string("x")).redact("max_tokens") == "max_tokens");
  const Secret token(std::string("sk-0123456789"));
  CHECK(token.redact("your key sk-01234567") == "your key [redacted]");
  CHECK(token.redact("your key sk-0123") == "your key sk-0123");
}

TEST_CASE("url: logs show neither password nor query", "[unit][request]") {
  CHECK(loggable_url("https://user:pass@host:1/v1?key=x#y") == "https://host:1/v1");
  CHECK(loggable_url("http://host/v1/a@b") == "http://host/v1/a@b");
  CHECK(loggable_url("nonsense") == "nonsense");
}
