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

/// The message of a JSON part and its payload. Shared tensors take the first of `descriptors`, the
/// rest stay with the message. Throws FrameError (malformed).
Message decode_message(std::string_view json, std::shared_ptr<TensorStorage> payload,
                       std::vector<Descriptor> descriptors);

}  // namespace cambrian
