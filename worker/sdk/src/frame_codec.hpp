#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cambrian/frame.hpp"

namespace cambrian {

/// Header of a frame: magic, length of the JSON part, length of the payload.
inline constexpr std::size_t kHeaderBytes = 16;
using Header = std::array<std::byte, kHeaderBytes>;

struct FrameLengths {
  std::size_t json = 0;
  std::size_t payload = 0;
};

/// Writes and reads the header. Reading throws FrameError (malformed) for anything but a header.
Header encode_header(FrameLengths lengths);
FrameLengths decode_header(const Header& header);

/// Where one tensor lies in the payload.
struct PayloadPart {
  std::size_t offset = 0;
  const Tensor* tensor = nullptr;
};

/// The JSON part of a message and the layout of its payload. Throws std::invalid_argument.
struct EncodedMessage {
  std::string json;
  std::size_t payload_bytes = 0;
  std::vector<PayloadPart> parts;
  std::vector<int> descriptors;
};
EncodedMessage encode_message(const Message& message);

/// What the JSON part says of one tensor.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::size_t offset = 0;
  bool shared = false;
};

/// Longer JSON parts are read anew each time.
inline constexpr std::size_t kRememberedBytesMax = 4096;

/// Reads the messages of one stream. Remembers the last short JSON part: who asks many questions of
/// the same shape sends the same text each time, and most of a frame's time is to read it.
class MessageDecoder {
 public:
  /// The message of a JSON part and its payload. Shared tensors take the first of `descriptors`,
  /// the rest stay with the message. Throws FrameError (malformed).
  Message decode(std::string_view json, std::shared_ptr<TensorStorage> payload,
                 std::vector<Descriptor> descriptors);

 private:
  struct Parsed {
    std::string type;
    JsonObject members;
    std::vector<TensorEntry> tensors;
  };
  static Parsed parse(std::string_view json);
  static Message place(Parsed parsed, std::shared_ptr<TensorStorage> payload,
                       std::vector<Descriptor> descriptors);

  std::string json_;  // Empty: nothing is remembered.
  Parsed parsed_;
};

}  // namespace cambrian
