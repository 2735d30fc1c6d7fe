#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/assert.hpp"
#include "worker/sdk/src/frame_codec.hpp"

using namespace cambrian;

namespace {

// Fits into the buffer of a socket, so that one thread can be both sides.
constexpr std::size_t kInputBytesMax = 48 << 10;
// What a judge that expects a small prediction accepts.
constexpr std::size_t kAnswerBytesMax = 4096;

/// A message as it would be said again.
struct Said {
  std::string json;
  std::string payload;
  friend bool operator==(const Said&, const Said&) = default;
};

Said say(const Message& message) {
  const EncodedMessage encoded = encode_message(message);
  Said said{encoded.json, std::string(encoded.payload_bytes, '\0')};
  for (const PayloadPart& part : encoded.parts) {
    const auto bytes = part.tensor->bytes();
    said.payload.replace(part.offset, bytes.size(), reinterpret_cast<const char*>(bytes.data()),
                         bytes.size());
  }
  return said;
}

Message hear(const Said& said, MessageDecoder& decoder) {
  const auto payload = make_heap_storage(said.payload.size());
  said.payload.copy(reinterpret_cast<char*>(payload->data()), said.payload.size());
  return decoder.decode(said.json, payload, {});
}

void check(const Message& message) {
  CAMBRIAN_ASSERT(message.descriptors.empty());
  CAMBRIAN_ASSERT(message.tensors.size() <= kTensorsMax);
  std::size_t bytes = 0;
  for (const Tensor& tensor : message.tensors) {
    CAMBRIAN_ASSERT(tensor.descriptor() < 0);
    CAMBRIAN_ASSERT(tensor.bytes().size() ==
                    element_count(tensor.shape()) * size_of(tensor.dtype()));
    bytes += tensor.bytes().size();
    // Reads every element: the sanitizers see what lies outside.
    [[maybe_unused]] const bool finite = is_finite(tensor);
  }
  CAMBRIAN_ASSERT(bytes <= kAnswerBytesMax);
}

/// Everything that a judge hears of a candidate that says this and hangs up.
std::vector<Said> conversation(std::string_view input, bool with_descriptors) {
  auto [ours, theirs] = make_socket_pair();
  CAMBRIAN_ASSERT(::write(theirs.get(), input.data(), input.size()) ==
                  static_cast<ssize_t>(input.size()));
  theirs = Descriptor();
  Channel channel(std::move(ours));
  std::vector<Said> heard;
  MessageDecoder known;
  const Deadline deadline = Clock::now() + std::chrono::minutes(1);
  try {
    for (;;) {
      const Message message = channel.receive(
          deadline, {.payload_bytes = kAnswerBytesMax, .descriptors = with_descriptors});
      check(message);
      heard.push_back(say(message));
      // With what went before in mind, and without.
      MessageDecoder fresh;
      CAMBRIAN_ASSERT(say(hear(heard.back(), known)) == heard.back());
      CAMBRIAN_ASSERT(say(hear(heard.back(), fresh)) == heard.back());
    }
  } catch (const FrameError& error) {
    // It ends with the stream, or with something that is no frame; nobody waits.
    CAMBRIAN_ASSERT(error.kind() == FrameError::Kind::closed ||
                    error.kind() == FrameError::Kind::malformed);
  }
  return heard;
}

}  // namespace

/// Whatever a candidate writes: frames or an error with a name, the same ones whether they are read
/// ahead or not, and each can be said again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kInputBytesMax) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  CAMBRIAN_ASSERT(conversation(input, false) == conversation(input, true));
  return 0;
}
