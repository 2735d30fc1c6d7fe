#include "codegen-client/model_server/chat/service.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "codegen-client/model_server/chat/tokens.hpp"
#include "common/base/rng.hpp"
#include "tests/unit/model_server/sample_programs.hpp"

namespace cambrian::codemodel {
namespace {

using Json = nlohmann::json;

Json chat(std::string_view model = "cambrian-mutator") {
  const std::string text = "## Parent program\nVariant 1\nFile: a.cpp\n```cpp\n" +
                           std::string(samples::kPriority) + "```\n## Variation seed: 4\n";
  return {{"model", model}, {"messages", {{{"role", "user"}, {"content", text}}}}};
}

HttpReply post(ChatService& service, const Json& body) {
  return service.handle(
      {.method = "POST", .path = "/v1/chat/completions", .body = body.dump(), .now = 1000});
}

Json reply_to(const Json& body) {
  ChatService service({.has_faults = true});
  const HttpReply reply = post(service, body);
  REQUIRE(reply.pieces.size() == 1);
  return Json::parse(reply.pieces[0]);
}

/// The refusal of a body, checked for its shape.
Json refused(const Json& body, int status = 400) {
  ChatService service({.has_faults = true});
  const HttpReply reply = post(service, body);
  CHECK(reply.status == status);
  REQUIRE(reply.pieces.size() == 1);
  const Json error = Json::parse(reply.pieces[0]).at("error");
  for (const char* key : {"message", "type", "param", "code"}) CHECK(error.contains(key));
  return error;
}

TEST_CASE("split_tokens: loses nothing and never cuts a character", "[unit][model_server]") {
  const std::string text = "int  größe = 12345; // naïve \xF0\x9F\x98\x80\n\t\tx\n";
  std::string joined;
  for (const auto token : split_tokens(text)) {
    CHECK((static_cast<unsigned char>(token[0]) & 0xC0U) != 0x80U);
    joined += token;
  }
  CHECK(joined == text);
  CHECK(count_tokens(text) == split_tokens(text).size());
  CHECK(count_tokens("") == 0);
}

TEST_CASE("limit_completion: ends at the stop word or the limit, whichever is first",
          "[unit][model_server]") {
  CHECK(limit_completion("one two three", {"three"}, 0).text == "one two ");
  CHECK(limit_completion("one two three", {"zzz", " two"}, 0).text == "one");
  const Completion cut = limit_completion("one two three", {"three"}, 1);
  CHECK(cut.text == "one");
  CHECK(cut.is_truncated);
  CHECK_FALSE(limit_completion("one two", {}, 2).is_truncated);
}

TEST_CASE("ChatService: answers n choices with counted usage", "[unit][model_server]") {
  Json body = chat();
  body["n"] = 3;
  const Json reply = reply_to(body);
  REQUIRE(reply["choices"].size() == 3);
  std::size_t tokens = 0;
  for (const Json& choice : reply["choices"]) {
    CHECK(choice["finish_reason"] == "stop");
    tokens += count_tokens(choice["message"]["content"].get<std::string>());
  }
  CHECK(reply["choices"][0]["message"]["content"] != reply["choices"][1]["message"]["content"]);
  CHECK(reply["usage"]["completion_tokens"] == tokens);
  CHECK(reply["usage"]["total_tokens"] ==
        tokens + reply["usage"]["prompt_tokens"].get<std::size_t>());
}

TEST_CASE("ChatService: the same messages and seed give the same answer", "[unit][model_server]") {
  Json body = chat();
  body["seed"] = 17;
  const Json first = reply_to(body);
  CHECK(first["choices"] == reply_to(body)["choices"]);
  body["seed"] = 18;
  CHECK(first["choices"] != reply_to(body)["choices"]);
}

TEST_CASE("ChatService: without any seed each request draws anew", "[unit][model_server]") {
  Json body = chat();
  body["messages"][0]["content"] =
      "```cpp\n" + std::string(samples::kPriority) + "```\nAnswer with SEARCH/REPLACE.";
  ChatService service({});
  const auto text = [&] { return Json::parse(post(service, body).pieces[0])["choices"].dump(); };
  CHECK(text() != text());
  body["temperature"] = 0;
  CHECK(text() == text());
}

TEST_CASE("ChatService: max_tokens truncates for real", "[unit][model_server]") {
  for (const char* field : {"max_tokens", "max_completion_tokens"}) {
    Json body = chat();
    const std::string full = reply_to(body)["choices"][0]["message"]["content"];
    body[field] = 10;
    const Json choice = reply_to(body)["choices"][0];
    CHECK(choice["finish_reason"] == "length");
    const std::string cut = choice["message"]["content"];
    CHECK(full.starts_with(cut));
    CHECK(count_tokens(cut) == 10);
  }
}

TEST_CASE("ChatService: json_object answers are JSON", "[unit][model_server]") {
  Json body = chat();
  body["response_format"] = {{"type", "json_object"}};
  const std::string content = reply_to(body)["choices"][0]["message"]["content"];
  CHECK(Json::parse(content)["answer"].get<std::string>().starts_with("I "));
}

TEST_CASE("ChatService: streams the same text that it sends whole", "[unit][model_server]") {
  Json body = chat();
  const Json whole = reply_to(body);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  ChatService service({});
  const HttpReply reply = post(service, body);
  CHECK(reply.content_type == "text/event-stream");
  CHECK(reply.pieces.back() == "data: [DONE]\n\n");
  std::string text;
  std::string finish;
  for (std::size_t i = 0; i + 2 < reply.pieces.size(); ++i) {
    const Json chunk = Json::parse(reply.pieces[i].substr(6));
    CHECK(chunk["usage"].is_null());
    text += chunk["choices"][0]["delta"].value("content", "");
    if (chunk["choices"][0]["finish_reason"].is_string()) {
      finish = chunk["choices"][0]["finish_reason"];
    }
  }
  CHECK(Json(text) == whole["choices"][0]["message"]["content"]);
  CHECK(finish == "stop");
  const Json last = Json::parse(reply.pieces[reply.pieces.size() - 2].substr(6));
  CHECK(last["choices"].empty());
  CHECK(last["usage"] == whole["usage"]);
}

TEST_CASE("ChatService: refuses wrong members by name", "[unit][model_server]") {
  const auto with = [](const char* key, Json value) {
    Json body = chat();
    body[key] = std::move(value);
    return body;
  };
  const auto messages = [&](Json message) { return with("messages", Json::array({message})); };
  CHECK(refused(Json::array())["param"].is_null());
  CHECK(refused(with("model", nullptr))["param"] == "model");
  CHECK(refused(with("model", "gpt-none"), 404)["code"] == "model_not_found");
  CHECK(refused(with("messages", Json::array()))["param"] == "messages");
  CHECK(refused(messages({{"role", "robot"}, {"content", "x"}}))["param"] == "messages[0].role");
  CHECK(refused(messages({{"role", "user"}, {"content", 7}}))["param"] == "messages[0].content");
  CHECK(refused(messages({{"role", "user"}}))["param"] == "messages[0].content");
  CHECK(refused(messages({{"role", "user"}, {"content", {{{"type", "image_url"}}}}}))["param"] ==
        "messages[0].content");
  for (const char* key : {"n", "max_tokens", "max_completion_tokens"}) {
    CHECK(refused(with(key, 0))["param"] == key);
    CHECK(refused(with(key, "3"))["param"] == key);
  }
  CHECK(refused(with("n", 129))["param"] == "n");
  CHECK(refused(with("seed", 1.5))["param"] == "seed");
  CHECK(refused(with("temperature", 2.1))["param"] == "temperature");
  CHECK(refused(with("stop", {"a", "b", "c", "d", "e"}))["param"] == "stop");
  CHECK(refused(with("stream", "yes"))["param"] == "stream");
  CHECK(refused(with("stream_options", Json::object()))["param"] == "stream_options");
  CHECK(refused(with("response_format", {{"type", "xml"}}))["param"] == "response_format.type");
  CHECK(refused(with("response_format", {{"type", "json_schema"}}))["code"] == "unsupported_value");
}

TEST_CASE("ChatService: a prompt beyond the context is refused", "[unit][model_server]") {
  Json body = chat();
  std::string text;
  for (std::size_t i = 0; i <= kContextTokens; ++i) text += '!';
  body["messages"][0]["content"] = text;
  CHECK(refused(body)["code"] == "context_length_exceeded");
}

TEST_CASE("ChatService: bad bytes are a 400, never a crash", "[unit][model_server]") {
  Rng rng(5);
  ChatService service({});
  for (int i = 0; i < 300; ++i) {
    std::string body = chat().dump();
    for (std::uint64_t k = 1 + rng.below(4); k > 0; --k) {
      body[rng.below(body.size())] = static_cast<char>(rng.below(256));
    }
    const HttpReply reply =
        service.handle({.method = "POST", .path = "/v1/chat/completions", .body = body, .now = 1});
    CHECK((reply.status == 200 || reply.status == 400 || reply.status == 404));
  }
}

TEST_CASE("ChatService: deep nesting is a 400", "[unit][model_server]") {
  ChatService service({});
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (const std::string& body :
       {deep, R"({"model":"cambrian-mutator","messages":)" + deep + "}"}) {
    CHECK(service.handle({.method = "POST", .path = "/v1/chat/completions", .body = body, .now = 1})
              .status == 400);
  }
}

TEST_CASE("ChatService: knows its paths and models", "[unit][model_server]") {
  ChatService service({});
  const auto get = [&](const char* path, const char* method = "GET") {
    return service.handle({.method = method, .path = path, .body = {}, .now = 1});
  };
  CHECK(get("/health").status == 200);
  CHECK(Json::parse(get("/v1/models").pieces[0])["data"][0]["id"] == "cambrian-mutator");
  CHECK(Json::parse(get("/v1/models/cambrian-mutator").pieces[0])["object"] == "model");
  CHECK(get("/v1/models/other").status == 404);
  CHECK(get("/other").status == 404);
  CHECK(get("/health", "POST").status == 405);
  CHECK(get("/v1/chat/completions").status == 405);
}

TEST_CASE("faults: exist only where they are switched on", "[unit][model_server]") {
  ChatService service({.has_faults = false});
  CHECK(post(service, chat("fault-500")).status == 404);
  CHECK(refused(chat("fault-503"), 503)["type"] == "server_error");
  CHECK(refused(chat("fault-429"), 429)["code"] == "rate_limit_exceeded");
  CHECK(refused(chat("fault-429-quota"), 429)["code"] == "insufficient_quota");
  CHECK(refused(chat("fault-error-in-200"), 200)["type"] == "server_error");
  CHECK(refused(chat("fault-399"), 404)["code"] == "model_not_found");
  CHECK_FALSE(parse_fault("fault-500:x"));
}

TEST_CASE("faults: end after the number of requests that they name", "[unit][model_server]") {
  ChatService service({.has_faults = true});
  CHECK(post(service, chat("fault-503:2")).status == 503);
  CHECK(post(service, chat("fault-503:2")).status == 503);
  CHECK(post(service, chat("fault-503:2")).status == 200);
}

TEST_CASE("faults: spoil replies in the way they are named", "[unit][model_server]") {
  CHECK(reply_to(chat("fault-truncated"))["choices"][0]["finish_reason"] == "length");
  CHECK(reply_to(chat("fault-filtered"))["choices"][0]["finish_reason"] == "content_filter");
  CHECK(reply_to(chat("fault-empty"))["choices"][0]["message"]["content"].is_null());
  CHECK_FALSE(reply_to(chat("fault-no-usage")).contains("usage"));
  const Json thinking = reply_to(chat("fault-reasoning"))["choices"][0]["message"];
  CHECK(thinking["content"].get<std::string>().starts_with("<think>"));
  CHECK(thinking.contains("reasoning_content"));
  ChatService service({.has_faults = true});
  CHECK(post(service, chat("fault-garbage")).content_type == "text/html");
  CHECK(post(service, chat("fault-cut")).is_cut);
  CHECK(post(service, chat("fault-slow")).delay_before == kSlowDelay);
}

}  // namespace
}  // namespace cambrian::codemodel
