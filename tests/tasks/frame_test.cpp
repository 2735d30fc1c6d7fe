#include "cambrian/frame.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>

#include "worker/sdk/src/frame_codec.hpp"

namespace cambrian {
namespace {

Deadline soon() { return Clock::now() + std::chrono::milliseconds(500); }

std::pair<Channel, Channel> make_channels() {
  auto [left, right] = make_socket_pair();
  return {Channel(std::move(left)), Channel(std::move(right))};
}

std::string header(std::uint32_t json, std::uint64_t payload) {
  std::string out = "CMB1";
  out.append(reinterpret_cast<const char*>(&json), sizeof(json));
  out.append(reinterpret_cast<const char*>(&payload), sizeof(payload));
  return out;
}

// What a receiver says to these bytes; an empty text for a good frame.
std::string error_of(const std::string& bytes, const ReceiveLimits& limits = {}) {
  auto [left, right] = make_channels();
  REQUIRE(::write(left.descriptor(), bytes.data(), bytes.size()) ==
          static_cast<ssize_t>(bytes.size()));
  try {
    right.receive(soon(), limits);
    return {};
  } catch (const FrameError& error) {
    return error.kind() == FrameError::Kind::malformed ? error.what() : "other";
  }
}

std::string error_of(const std::string& json, const std::string& payload) {
  return error_of(header(static_cast<std::uint32_t>(json.size()), payload.size()) + json + payload);
}

std::string with_tensors(const std::string& tensors) {
  return R"({"type":"answer","tensors":[)" + tensors + "]}";
}

}  // namespace

TEST_CASE("channel: a message arrives as it was sent", "[contract][sdk]") {
  auto [left, right] = make_channels();
  Message sent("answer");
  sent.members["text"] = "na\xc3\xafve";
  sent.members["number"] = 0.1;
  sent.members["integer"] = std::numeric_limits<std::int64_t>::min();
  sent.tensors.push_back(make_tensor("odd", {3}, std::vector<std::uint8_t>{1, 2, 3}));
  sent.tensors.push_back(make_tensor("scalar", {}, std::vector<double>{2.5}));
  sent.tensors.push_back(make_tensor("empty", {0, 4}, std::vector<float>{}));
  sent.tensors.push_back(make_tensor("matrix", {1, 2}, std::vector<std::int64_t>{-1, 7}));
  left.send(sent, soon());
  const Message got = right.receive(soon());
  CHECK(got.type == "answer");
  CHECK(got.members == sent.members);
  REQUIRE(got.tensors.size() == 4);
  CHECK(got.tensor("odd").values<std::uint8_t>()[2] == 3);
  CHECK(got.tensor("scalar").values<double>()[0] == 2.5);
  CHECK(got.tensor("empty").shape() == Shape{0, 4});
  CHECK(got.tensor("matrix").values<std::int64_t>()[1] == 7);
  CHECK_THROWS_AS(got.tensor("matrix").values<float>(), std::invalid_argument);
  CHECK_THROWS_AS(got.integer("number"), FrameError);
}

TEST_CASE("channel: shared tensors travel by descriptor and cannot be changed", "[contract][sdk]") {
  auto [left, right] = make_channels();
  Message sent("train");
  sent.tensors.push_back(make_shared_tensor("inputs", DType::u8, {4}, [](std::byte* out) {
    for (int i = 0; i < 4; ++i) out[i] = std::byte(i + 1);
  }));
  left.send(sent, soon());
  const Message got = right.receive(soon(), {.descriptors = true});
  const Tensor& inputs = got.tensor("inputs");
  CHECK(inputs.values<std::uint8_t>()[3] == 4);
  inputs.data()[3] = std::byte{9};  // A private copy of the page.
  CHECK(sent.tensors[0].values<std::uint8_t>()[3] == 4);
  CHECK(::pwrite(inputs.descriptor(), "x", 1, 0) < 0);
  CHECK(::ftruncate(inputs.descriptor(), 0) < 0);
  CHECK(::mmap(nullptr, 4, PROT_WRITE, MAP_SHARED, inputs.descriptor(), 0) == MAP_FAILED);
}

TEST_CASE("channel: descriptors are dropped where none are expected", "[contract][sdk]") {
  auto [left, right] = make_channels();
  Message sent("answer");
  sent.tensors.push_back(make_shared_tensor("x", DType::u8, {1}, [](std::byte*) {}));
  left.send(sent, soon());
  CHECK_THROWS_AS(right.receive(soon()), FrameError);
}

TEST_CASE("channel: a memory file without seals is refused", "[contract][sdk]") {
  const int file = ::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(::ftruncate(file, 8) == 0);
  CHECK_THROWS_AS(map_sealed_storage(file), std::invalid_argument);
  CHECK(::fcntl(file, F_GETFD) < 0);
}

TEST_CASE("channel: limits are checked before memory is taken", "[contract][sdk]") {
  CHECK(error_of(header(1, 0) + "{") == "JSON part is too short");
  CHECK(error_of(header(kJsonBytesMax + 1, 0)).starts_with("JSON part too large"));
  CHECK(error_of(header(2, kPayloadBytesMax + 1)).starts_with("payload too large"));
  CHECK(error_of(header(2, 9), {.payload_bytes = 8}).starts_with("payload too large"));
  CHECK(error_of("CMB2" + header(2, 0).substr(4) + "{}") == "wrong magic");
}

TEST_CASE("channel: refuses what is not exactly a frame", "[contract][sdk]") {
  CHECK(error_of("{}", "") == "no type");
  CHECK(error_of("[]", "") == "not a JSON object");
  CHECK(error_of(R"({"type":1})", "") == "no type");
  CHECK(error_of(R"({"type":"a","type":"b"})", "") == "duplicate member: type");
  CHECK(error_of(R"({"type":"a"} x)", "").starts_with("not JSON"));
  CHECK(error_of(R"({"type":"a","x":NaN})", "").starts_with("not JSON"));
  CHECK(error_of(R"({"type":"a","x":1e999})", "").starts_with("not JSON"));
  CHECK(error_of("{\"type\":\"\xff\"}", "").starts_with("not JSON"));
  CHECK(error_of(R"({"type":"a"})", "12345678").starts_with("surplus bytes"));
  std::string deep = R"({"type":"a","x":)";
  for (int i = 0; i < 1000; ++i) deep += '[';
  CHECK(error_of(deep, "") == "nested too deeply");
}

TEST_CASE("channel: refuses tensors that do not fit", "[contract][sdk]") {
  const std::string four = R"({"name":"a","dtype":"u8","shape":[4],"offset":0})";
  CHECK(error_of(with_tensors(four), "1234").empty());
  CHECK_FALSE(error_of(with_tensors(four), "123").empty());
  CHECK(error_of(with_tensors(four), "12345").starts_with("surplus bytes"));
  CHECK(error_of(with_tensors(four + "," + four), "1234").starts_with("tensor appears twice"));
  for (const char* entry : {
           R"({"name":"","dtype":"u8","shape":[4],"offset":0})",
           R"({"name":"a","dtype":"f16","shape":[2],"offset":0})",
           R"({"name":"a","dtype":"u8","shape":[-4],"offset":0})",
           R"({"name":"a","dtype":"u8","shape":4,"offset":0})",
           R"({"name":"a","dtype":"u8","shape":[4.0],"offset":0})",
           R"({"name":"a","dtype":"u8","shape":[4],"offset":1})",
           R"({"name":"a","dtype":"u8","shape":[4],"offset":-1})",
           R"({"name":"a","dtype":"u8","shape":[4]})",
           R"({"name":"a","dtype":"u8","shape":[4],"offset":0,"more":1})",
           R"({"name":"a","dtype":"u8","shape":[4],"offset":0,"shared":true})",
           R"({"name":"a","dtype":"u8","shape":[4294967296,4294967296],"offset":0})",
           R"({"name":"a","dtype":"u8","shape":[1,1,1,1,1,1,1,1,4],"offset":0})",
       }) {
    INFO(entry);
    CHECK_FALSE(error_of(with_tensors(entry), "1234").empty());
  }
}

TEST_CASE("channel: frames of the same shape and of others are each read by themselves",
          "[contract][sdk]") {
  auto [left, right] = make_channels();
  const auto question = [](const std::vector<double>& values, const JsonObject& members) {
    Message message("ask", members);
    const auto count = static_cast<std::int64_t>(values.size());
    message.tensors.push_back(make_tensor("values", {count}, values));
    return message;
  };
  const auto long_text = [](std::size_t bytes) {
    return JsonObject{{"step", 1}, {"text", std::string(bytes, 'x')}};
  };
  std::vector<Message> sent;
  sent.push_back(question({1, 2}, {{"step", 1}}));
  sent.push_back(question({3, 4}, {{"step", 1}}));  // The text of the one before.
  sent.push_back(question({5, 6}, {{"step", 2}}));
  sent.push_back(question({7}, {{"step", 2}}));
  sent.emplace_back("bye");
  sent.push_back(question({7}, {{"step", 2}}));
  sent.push_back(question({8}, long_text(2 * kRememberedBytesMax)));  // Not remembered.
  sent.push_back(question({7}, {{"step", 2}}));
  const std::size_t rest = encode_message(question({0}, long_text(0))).json.size();
  for (const std::size_t bytes : {kRememberedBytesMax, kRememberedBytesMax + 1}) {
    sent.push_back(question({1}, long_text(bytes - rest)));
    sent.push_back(question({2}, long_text(bytes - rest)));
    sent.push_back(question({3}, {{"step", 2}}));
  }
  for (const Message& message : sent) left.send(message, soon());
  std::vector<Message> got;  // All kept: none may hold what belongs to another.
  for (std::size_t i = 0; i < sent.size(); ++i) {
    got.push_back(right.receive(soon()));
    if (i == 0) right = Channel(std::move(right));
  }
  for (std::size_t i = 0; i < sent.size(); ++i) {
    INFO(i);
    CHECK(to_bytes(got[i]) == to_bytes(sent[i]));
    got[i].members["changed"] = true;  // No copy of what is remembered.
  }
}

TEST_CASE("channel: a known text with another payload is refused as it was the first time",
          "[contract][sdk]") {
  MessageDecoder decoder;
  const std::string text = with_tensors(R"({"dtype":"u8","name":"x","offset":0,"shape":[4]})");
  const auto decode = [&](std::size_t bytes) {
    return decoder.decode(text, make_heap_storage(bytes), {});
  };
  CHECK(decode(4).tensors.size() == 1);
  CHECK_THROWS_AS(decode(3), FrameError);
  CHECK_THROWS_AS(decode(5), FrameError);
  CHECK(decode(4).tensors.size() == 1);
  CHECK_THROWS_AS(decoder.decode("{}", make_heap_storage(0), {}), FrameError);
  CHECK(decode(4).type == "answer");
}

TEST_CASE("channel: shared tensors of a known text are those that came with it",
          "[contract][sdk]") {
  MessageDecoder decoder;
  const auto shared = [](int value) {
    return make_shared_tensor("x", DType::u8, {1},
                              [value](std::byte* out) { *out = std::byte(value); });
  };
  const auto decode = [&decoder](const std::vector<Tensor>& tensors) {
    const std::string text =
        with_tensors(R"({"dtype":"u8","name":"x","offset":0,"shape":[1],"shared":true})");
    std::vector<Descriptor> descriptors;
    for (const Tensor& tensor : tensors) descriptors.emplace_back(::dup(tensor.descriptor()));
    return decoder.decode(text, make_heap_storage(0), std::move(descriptors));
  };
  const Message first = decode({shared(1)});
  const Message second = decode({shared(2)});
  CHECK(first.tensor("x").values<std::uint8_t>()[0] == 1);
  CHECK(second.tensor("x").values<std::uint8_t>()[0] == 2);
  CHECK_THROWS_AS(decode({}), FrameError);
  const Message third = decode({shared(3), shared(4)});
  CHECK(third.tensor("x").values<std::uint8_t>()[0] == 3);
  CHECK(third.descriptors.size() == 1);
}

TEST_CASE("channel: silence, the end of the stream and endless chatter end a wait",
          "[contract][sdk]") {
  auto [left, right] = make_channels();
  const auto kind_of = [&](Deadline deadline) {
    try {
      right.receive(deadline);
      return FrameError::Kind::system;
    } catch (const FrameError& error) {
      return error.kind();
    }
  };
  CHECK(kind_of(Clock::now() + std::chrono::milliseconds(10)) == FrameError::Kind::timeout);
  left.send(Message("progress"), soon());
  CHECK(kind_of(Clock::now() - std::chrono::milliseconds(1)) == FrameError::Kind::timeout);
  left.close();
  CHECK(right.receive(soon()).type == "progress");
  CHECK(kind_of(soon()) == FrameError::Kind::closed);
}

TEST_CASE("channel: a receiver that does not read cannot hold the sender", "[contract][sdk]") {
  auto [left, right] = make_channels();
  Message large("train");
  large.tensors.push_back(make_tensor("x", DType::u8, {8 << 20}, [](std::byte*) {}));
  CHECK_THROWS_AS(left.send(large, Clock::now() + std::chrono::milliseconds(10)), FrameError);
}

TEST_CASE("channel: large frames pass in both directions at once", "[contract][sdk]") {
  auto [left, right] = make_channels();
  Message large("predict");
  for (int i = 0; i < 600; ++i) {  // More pieces than one system call takes.
    large.tensors.push_back(make_tensor("x" + std::to_string(i), DType::u8, {1001},
                                        [&](std::byte* out) { out[1000] = std::byte(i % 251); }));
  }
  std::jthread sender([&, &from = left] { from.send(large, soon()); });
  const Message got = right.receive(soon());
  REQUIRE(got.tensors.size() == 600);
  CHECK(got.tensors[599].values<std::uint8_t>()[1000] == 599 % 251);
}

TEST_CASE("json: numbers that JSON cannot say are refused", "[contract][sdk]") {
  CHECK_THROWS_AS(to_text(JsonObject{{"x", std::nan("")}}), std::invalid_argument);
  CHECK(to_text(JsonObject{{"b", true}, {"a", 1}}) == R"({"a":1,"b":true})");
  CHECK(parse_json_object(R"({"x":0.1})").at("x").number() == 0.1);
}

TEST_CASE("json: what is written reads back as it was", "[contract][sdk]") {
  const JsonObject object = {
      {"empty", JsonObject()},
      {"list", JsonArray{Json(), true, false, "text", JsonArray()}},
      {"numbers", JsonArray{0, -7, INT64_MIN, INT64_MAX, 1.0, 0.1, 1e-300, 1e22, 1.7e308}},
      {"quotes \"and\" \\", "line\nbreak \x01 \x7f"},
      {"utf-8", "\u00e4\u20ac"}};
  CHECK(parse_json_object(to_text(object)) == object);
  // A number that was written with a fraction is none for those who want integers.
  CHECK(to_text(JsonObject{{"x", 1.0}, {"y", -0.0}}) == R"({"x":1.0,"y":-0.0})");
  CHECK(to_text(JsonObject{{"x", "\"\\\b\n\x01\x7f"}}) == "{\"x\":\"\\\"\\\\\\b\\n\\u0001\x7f\"}");
  CHECK(to_text(JsonObject{{"bad \xff", "\xc3"}}) == "{\"bad \xef\xbf\xbd\":\"\xef\xbf\xbd\"}");
}

TEST_CASE("json: nesting is written up to what is read", "[contract][sdk]") {
  const auto nested = [](int arrays) {
    Json deep = 1;
    for (int i = 0; i < arrays; ++i) deep = JsonArray{std::move(deep)};
    return JsonObject{{"deep", std::move(deep)}};
  };
  const JsonObject deepest = nested(kJsonDepthMax - 1);
  CHECK(parse_json_object(to_text(deepest)) == deepest);
  CHECK(from_bytes(to_bytes(Message("ask", deepest))).members == deepest);
  CHECK_THROWS_AS(to_text(nested(kJsonDepthMax)), std::invalid_argument);
  CHECK_THROWS_AS(to_bytes(Message("ask", nested(kJsonDepthMax))), std::invalid_argument);
}

TEST_CASE("frame: its own members are among the others, in the order of their names",
          "[contract][sdk]") {
  const auto json_of = [](const Message& message) { return encode_message(message).json; };
  CHECK(json_of(Message("ask", {{"", 1}, {"a", 1}, {"z", JsonArray{2}}})) ==
        R"({"":1,"a":1,"type":"ask","z":[2]})");
  Message message("ask", {{"", 1}, {"a", 1}, {"tensors", 2}, {"type", 3}, {"z", 4}});
  CHECK(json_of(message) == R"({"":1,"a":1,"tensors":2,"type":"ask","z":4})");
  message.tensors.push_back(make_tensor("\"x\"", DType::u8, {2, 1}, [](std::byte*) {}));
  CHECK(json_of(message) ==
        R"({"":1,"a":1,"tensors":[{"dtype":"u8","name":"\"x\"","offset":0,"shape":[2,1]}],)"
        R"("type":"ask","z":4})");
  CHECK(json_of(Message()) == R"({"type":""})");
  CHECK_THROWS_AS(to_bytes(Message("ask", {{"x", std::nan("")}})), std::invalid_argument);
}

}  // namespace cambrian
