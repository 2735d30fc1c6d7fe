#include "cambrian/frame.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>
#include <thread>

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

}  // namespace cambrian
