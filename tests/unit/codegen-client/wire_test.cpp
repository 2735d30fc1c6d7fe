#include <catch2/catch_test_macros.hpp>
#include <string>
#include <variant>
#include <vector>

#include "codegen-client/adapters/openai/reply.hpp"
#include "codegen-client/domain/sse.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/base/rng.hpp"

using namespace cambrian::codegen;
using namespace cambrian::codegen::openai;

namespace {

/// Feeds the stream in pieces of so many bytes; 0: at random.
std::vector<std::string> events_of(const std::string& stream, std::size_t piece,
                                   std::uint64_t seed = 1) {
  SseParser parser;
  cambrian::Rng rng(seed);
  std::vector<std::string> events;
  const auto take = [&events](const cambrian::Result<std::vector<std::string>>& more) {
    REQUIRE(more);
    events.insert(events.end(), more->begin(), more->end());
  };
  for (std::size_t i = 0; i < stream.size();) {
    const std::size_t length = piece > 0 ? piece : 1 + rng.below(7);
    take(parser.feed(std::string_view(stream).substr(i, length)));
    i += length;
  }
  take(parser.finish());
  return events;
}

const CallFailure& failure_in(const std::variant<ChatReply, CallFailure>& outcome) {
  REQUIRE(std::holds_alternative<CallFailure>(outcome));
  return std::get<CallFailure>(outcome);
}

const ChatReply& reply_in(const std::variant<ChatReply, CallFailure>& outcome) {
  REQUIRE(std::holds_alternative<ChatReply>(outcome));
  return std::get<ChatReply>(outcome);
}

std::variant<ChatReply, CallFailure> stream_of(const std::vector<std::string>& events) {
  StreamedReply reply;
  for (const std::string& event : events) {
    if (!reply.add(event)) break;
  }
  return std::move(reply).finish();
}

std::string completion(const std::string& message, const std::string& reason = "\"stop\"") {
  return R"({"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":)" +
         message + R"(,"finish_reason":)" + reason +
         R"(}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}})";
}

std::string delta(const std::string& body, const std::string& reason = "null") {
  return R"({"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":)" + body +
         R"(,"finish_reason":)" + reason + "}]}";
}

}  // namespace

TEST_CASE("sse: line ends, comments, fields and splits do not matter", "[unit][sse]") {
  const std::string snowman = "\xe2\x98\x83";
  const std::string stream = "\xef\xbb\xbf: PROCESSING\r\n\r\nevent: message\rdata: a" + snowman +
                             "\r\rdata:b\ndata: c\nid: 7\n\n\n\ndata\n\n: end\n\ndata: last";
  const std::vector<std::string> expected = {"a" + snowman, "b\nc", "", "last"};
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    REQUIRE(events_of(stream, piece) == expected);
  }
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    REQUIRE(events_of(stream, 0, seed) == expected);
  }
}

TEST_CASE("sse: CRLF ends one line, not two", "[unit][sse]") {
  CHECK(events_of("data: a\r\ndata: b\r\n\r\n", 1) == std::vector<std::string>{"a\nb"});
  CHECK(events_of("data: a\rdata: b\r\r", 1) == std::vector<std::string>{"a\nb"});
}

TEST_CASE("sse: events and lines have a limit", "[unit][sse]") {
  SseParser one_line;
  const auto too_long = one_line.feed(std::string(SseParser::kEventBytesMax + 10, 'x'));
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().code == cambrian::Errc::exhausted);
  SseParser many_lines;
  const std::string line = "data: " + std::string(65'536, 'x') + "\n";
  bool is_refused = false;
  for (int i = 0; i < 20 && !is_refused; ++i) is_refused = !many_lines.feed(line);
  CHECK(is_refused);
}

TEST_CASE("reply: reads content, usage and finish reason", "[unit][reply]") {
  const auto outcome = parse_reply(completion(R"({"role":"assistant","content":"hi"})"));
  const ChatReply& reply = reply_in(outcome);
  CHECK(reply.content == "hi");
  CHECK(reply.model == "m");
  CHECK(reply.finish_reason == FinishReason::stop);
  CHECK(reply.usage == TokenUsage{.prompt_tokens = 10, .completion_tokens = 5});
}

TEST_CASE("reply: content may be null, empty, absent or a list of parts", "[unit][reply]") {
  for (const char* message : {R"({"content":null})", R"({"content":""})", "{}"}) {
    CHECK(reply_in(parse_reply(completion(message))).content.empty());
  }
  const auto parts = parse_reply(
      completion(R"({"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})"));
  CHECK(reply_in(parts).content == "ab");
  const auto bare = parse_reply(R"({"choices":[{"message":{"content":"x"}}]})");
  CHECK_FALSE(reply_in(bare).usage);
  CHECK(reply_in(bare).finish_reason == FinishReason::other);
}

TEST_CASE("reply: thoughts never mix with the answer", "[unit][reply]") {
  for (const char* name : {"reasoning", "reasoning_content"}) {
    const auto outcome = parse_reply(
        completion(R"({"content":"answer","refusal":null,")" + std::string(name) + R"(":"<<<<"})"));
    CHECK(reply_in(outcome).content == "answer");
    CHECK(reply_in(outcome).thought_bytes == 4);
  }
  const auto inside = parse_reply(completion(R"({"content":"<think>abc</think>answer"})"));
  CHECK(reply_in(inside).content == "answer");
  CHECK(reply_in(inside).thought_bytes == 18);
  // The same thoughts under two names are thought once.
  const auto twice = parse_reply(completion(R"({"reasoning":"abcd","reasoning_content":"abcd"})"));
  CHECK(reply_in(twice).thought_bytes == 4);
  CHECK(strip_thoughts("<think>a\nb</think>\nanswer") == "\nanswer");
  CHECK(strip_thoughts("no opening tag</think>answer") == "answer");
  CHECK(strip_thoughts("  <think>never ends").empty());
  CHECK(strip_thoughts("answer\n<think>and more") == "answer");
  CHECK(strip_thoughts("<think>1</think>x</think>answer") == "answer");
  CHECK(strip_thoughts("if (a <think> b)") == "if (a <think> b)");
}

TEST_CASE("reply: finish reasons", "[unit][reply]") {
  const std::string message = R"({"content":"x"})";
  const auto reason = [&](const std::string& text) {
    return reply_in(parse_reply(completion(message, text))).finish_reason;
  };
  CHECK(reason(R"("length")") == FinishReason::length);
  CHECK(reason(R"("content_filter")") == FinishReason::content_filter);
  CHECK(reason("null") == FinishReason::other);
  CHECK(reason(R"("eos")") == FinishReason::other);
  CHECK(reason("17") == FinishReason::other);
  CHECK(reason(R"("")") == FinishReason::other);
  CHECK(reason(R"("model_length")") == FinishReason::length);
  for (const char* broken : {R"("error")", R"("abort")"}) {
    const CallFailure failure = failure_in(parse_reply(completion(message, broken)));
    CHECK(failure.kind == FailureKind::server);
    CHECK(failure.is_outcome_unknown());
  }
}

TEST_CASE("reply: an error inside a 200 is a failure", "[unit][reply]") {
  const auto quota =
      parse_reply(R"({"error":{"message":"no money","type":"quota","code":"insufficient_quota"}})");
  CHECK(failure_in(quota).kind == FailureKind::no_quota);
  const auto upstream = parse_reply(R"({"error":{"message":"bad gateway","code":502}})");
  CHECK(failure_in(upstream).kind == FailureKind::server);
  CHECK(failure_in(upstream).status == 502);
  const auto in_choice = parse_reply(
      R"({"choices":[{"error":{"message":"slow down","code":429},"message":{"content":""}}]})");
  CHECK(failure_in(in_choice).kind == FailureKind::rate_limited);
  CHECK(failure_in(parse_reply(R"({"error":"plain"})")).message == "plain");
  CHECK(
      reply_in(parse_reply(R"({"error":null,"choices":[{"message":{"content":"x"}}]})")).content ==
      "x");
}

TEST_CASE("reply: garbage is malformed, never a crash", "[unit][reply]") {
  for (const std::string& body :
       {std::string(), std::string("<html>"), std::string("[]"), std::string("{}"),
        std::string(R"({"choices":[]})"), std::string(R"({"choices":[1]})"),
        std::string(R"({"choices":[{"message":"x"}]})"), std::string("\xff\xfe"),
        std::string(100'000, '['), std::string(R"({"choices":{"a":1}})")}) {
    CHECK(failure_in(parse_reply(body)).kind == FailureKind::malformed);
  }
}

TEST_CASE("reply: cached tokens and thoughts are told apart", "[unit][reply]") {
  const auto usage_of = [](const std::string& usage) {
    return reply_in(parse_reply(R"({"id":"chatcmpl-7","choices":[{"message":{"content":"x"}}],)"
                                R"("usage":)" +
                                usage + "}"))
        .usage.value();
  };
  const TokenUsage split{.prompt_tokens = 100,
                         .completion_tokens = 50,
                         .cached_prompt_tokens = 64,
                         .reasoning_tokens = 30};
  CHECK(usage_of(R"({"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,)"
                 R"("prompt_tokens_details":{"cached_tokens":64},)"
                 R"("completion_tokens_details":{"reasoning_tokens":30}})") == split);
  // Servers that count them beside the others.
  CHECK(usage_of(R"({"prompt_tokens":36,"completion_tokens":20,"total_tokens":150,)"
                 R"("prompt_tokens_details":{"cached_tokens":64},)"
                 R"("completion_tokens_details":{"reasoning_tokens":30}})") == split);
  CHECK(usage_of(R"({"prompt_tokens":9,"completion_tokens":1,"prompt_cache_hit_tokens":8})")
            .cached_prompt_tokens == 8);
  CHECK(usage_of(R"({"prompt_tokens":9,"prompt_tokens_details":null,)"
                 R"("completion_tokens_details":"none"})")
            .reasoning_tokens == 0);
}

TEST_CASE("reply: absurd numbers of tokens count as none", "[unit][reply]") {
  const auto outcome = parse_reply(R"({"choices":[{"message":{"content":"x"}}],)"
                                   R"("usage":{"prompt_tokens":-5,"completion_tokens":1e300}})");
  CHECK(reply_in(outcome).usage == TokenUsage{});
  // -1 as an unsigned number; the coordinator would refuse a report with it.
  const auto wrapped = parse_reply(R"({"choices":[{"message":{"content":"x"}}],"usage":)"
                                   R"({"prompt_tokens":4294967295,"completion_tokens":7,)"
                                   R"("prompt_tokens_details":{"cached_tokens":999999999}}})");
  CHECK(reply_in(wrapped).usage->prompt_tokens <= 1'000'000'000);
  CHECK(reply_in(wrapped).usage->completion_tokens == 7);
  const auto summed = parse_reply(R"({"choices":[{"message":{"content":"x"}}],"usage":)"
                                  R"({"prompt_tokens":900000000,"completion_tokens":7,)"
                                  R"("prompt_tokens_details":{"cached_tokens":999999999}}})");
  CHECK(reply_in(summed).usage->prompt_tokens == 1'000'000'000);
}

TEST_CASE("error bodies: status and code decide the kind", "[unit][reply]") {
  const auto kind = [](int status, const std::string& body = "") {
    return parse_error(status, body).kind;
  };
  CHECK(kind(400) == FailureKind::refused_request);
  CHECK(kind(401) == FailureKind::unauthorized);
  CHECK(kind(402) == FailureKind::no_quota);
  CHECK(kind(403) == FailureKind::unauthorized);
  CHECK(kind(404) == FailureKind::refused_request);
  CHECK(kind(408) == FailureKind::server);
  CHECK(kind(409) == FailureKind::server);
  CHECK(kind(429) == FailureKind::rate_limited);
  CHECK(kind(500) == FailureKind::server);
  CHECK(kind(503, "<html>busy</html>") == FailureKind::server);
  CHECK(kind(429,
             R"({"error":{"message":"m","type":"t","param":null,"code":"insufficient_quota"}})") ==
        FailureKind::no_quota);
  const auto named = parse_error(
      400, R"({"error":{"message":"no such\nfield","type":"t","param":"seed","code":null}})");
  CHECK(named.parameter == "seed");
  CHECK(named.message == "HTTP 400: no such field");
  CHECK(parse_error(503, "").message == "HTTP 503");
  CHECK(parse_error(422, R"({"detail":[{"loc":["body","seed"]}]})").message.find("seed") !=
        std::string::npos);
  CHECK(parse_error(500, std::string(10'000, 'x')).message.size() == 512);
}

TEST_CASE("stream: deltas are put together", "[unit][reply]") {
  StreamedReply stream;
  CHECK(stream.add(delta(R"({"role":"assistant","content":null})")));
  CHECK_FALSE(stream.has_begun());
  CHECK(stream.add(delta(R"({"reasoning":"hm"})")));
  CHECK(stream.has_begun());
  CHECK(stream.add(delta(R"({"content":"a"})")));
  CHECK(stream.add(delta(R"({"content":"b"})", "\"stop\"")));
  CHECK(stream.add(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})"));
  CHECK_FALSE(stream.add("[DONE]"));
  const auto outcome = std::move(stream).finish();
  CHECK(reply_in(outcome).content == "ab");
  CHECK(reply_in(outcome).usage == TokenUsage{.prompt_tokens = 3, .completion_tokens = 2});
}

TEST_CASE("stream: a missing [DONE] is forgiven, a missing end is not", "[unit][reply]") {
  CHECK(reply_in(stream_of({delta(R"({"content":"a"})", "\"stop\"")})).content == "a");
  CHECK(reply_in(stream_of({delta(R"({"content":"a"})"), "[DONE]"})).content == "a");
  CHECK(failure_in(stream_of({delta(R"({"content":"a"})")})).kind == FailureKind::cut);
  CHECK(failure_in(stream_of({})).kind == FailureKind::cut);
  CHECK(reply_in(stream_of({delta(R"({"content":"a"})", "\"length\"")})).finish_reason ==
        FinishReason::length);
}

TEST_CASE("stream: the first reason that says something counts", "[unit][reply]") {
  const auto reasons = [](const std::vector<std::string>& texts) {
    std::vector<std::string> events;
    for (const std::string& reason : texts) events.push_back(delta(R"({"content":"a"})", reason));
    return stream_of(events);
  };
  // Some servers send an empty one with every chunk, behind the last word too.
  CHECK(failure_in(reasons({R"("")", R"("")"})).kind == FailureKind::cut);
  CHECK(reply_in(reasons({R"("")", R"("length")", R"("")"})).finish_reason == FinishReason::length);
  CHECK(reply_in(reasons({R"("length")", "17"})).finish_reason == FinishReason::length);
  CHECK(reply_in(reasons({R"("model_length")"})).finish_reason == FinishReason::length);
  CHECK(failure_in(reasons({"null", R"("error")"})).kind == FailureKind::server);
}

TEST_CASE("stream: an answer has a limit, thoughts included", "[unit][reply]") {
  for (const std::string name : {"content", "reasoning"}) {
    StreamedReply stream;
    const std::string event = delta("{\"" + name + "\":\"" + std::string(65'536, 'x') + "\"}");
    std::size_t bytes = 0;
    while (stream.add(event)) bytes += 65'536;
    CHECK(bytes == StreamedReply::kBytesMax);
    CHECK(failure_in(std::move(stream).finish()).kind == FailureKind::too_large);
  }
}

TEST_CASE("reply: no beginning of the key is left where words are cut", "[unit][reply]") {
  std::string text = "sk-";
  while (text.size() < 164) text += static_cast<char>('A' + text.size() % 26);
  const cambrian::Secret key{std::string(text)};
  const std::string head = text.substr(0, 8);
  for (std::size_t lead = 300; lead <= 520; ++lead) {
    const std::string words = std::string(lead, 'w') + text + " behind";
    const auto error = parse_error(401, R"({"error":{"message":")" + words + "\"}}", key);
    CHECK(error.message.find(head) == std::string::npos);
    CHECK(parse_error(401, words, key).message.find(head) == std::string::npos);
    CHECK(parse_error(401, words.substr(0, lead + 20), key).message.find(head) ==
          std::string::npos);  // Cut on the way.
    CHECK(parse_error(422, R"({"detail":[{"msg":")" + words + "\"}]}", key).message.find(head) ==
          std::string::npos);
    const auto reply = parse_reply(R"({"id":")" + words + R"(","model":")" + words +
                                       R"(","choices":[{"message":{"content":"x"}}]})",
                                   key);
    CHECK(reply_in(reply).id.find(head) == std::string::npos);
    CHECK(reply_in(reply).model.find(head) == std::string::npos);
    StreamedReply stream(key);
    stream.add(R"({"model":")" + words + R"(","choices":[]})");
    stream.add("[DONE]");
    CHECK(reply_in(std::move(stream).finish()).model.find(head) == std::string::npos);
  }
}

TEST_CASE("stream: an error in the middle is a failure", "[unit][reply]") {
  const auto outcome = stream_of(
      {delta(R"({"content":"a"})"), R"({"error":{"message":"boom","code":500}})", "[DONE]"});
  CHECK(failure_in(outcome).kind == FailureKind::server);
  CHECK(failure_in(outcome).message == "boom");
  CHECK(failure_in(outcome).is_outcome_unknown());  // The model had worked for it.
  const auto bare = stream_of(
      {delta(R"({"content":"a"})"), R"({"object":"error","message":"bang","code":400})", "[DONE]"});
  CHECK(failure_in(bare).kind == FailureKind::refused_request);
  CHECK(failure_in(bare).message == "bang");
  CHECK(failure_in(stream_of({"garbage"})).kind == FailureKind::malformed);
}

TEST_CASE("text: bytes that are not UTF-8 are replaced", "[unit][text]") {
  CHECK(to_valid_utf8("a\xc3\xa4\xe2\x98\x83\xf0\x9f\x98\x80") ==
        "a\xc3\xa4\xe2\x98\x83\xf0\x9f\x98\x80");
  for (const std::string& bad : {std::string("\xff"), std::string("\xc3"), std::string("\xc0\x80"),
                                 std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80")}) {
    const std::string valid = to_valid_utf8("a" + bad + "b");
    CHECK(valid.starts_with("a\xef\xbf\xbd"));
    CHECK(valid.ends_with("b"));
    CHECK(to_valid_utf8(valid) == valid);
  }
  CHECK(truncate_utf8("a\xc3\xa4z", 2) == "a");
  CHECK(truncate_utf8("a\xc3\xa4z", 3) == "a\xc3\xa4");
  CHECK(to_one_line("a\nb\x01", 10) == "a b ");
  CHECK(shorten_middle("abcdefghij", 4) == "ab\n[6 bytes left out]\nij");
  CHECK(split_lines("a\r\n\nb") == std::vector<std::string_view>{"a", "", "b"});
}
