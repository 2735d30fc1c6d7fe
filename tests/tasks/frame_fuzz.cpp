// libFuzzer target: whatever arrives is a message or a FrameError, never a crash. The first byte
// says how many bytes from the end are the payload.
#include <cstring>

#include "worker/sdk/src/frame_codec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t payload_bytes = std::min<std::size_t>(data[0], size - 1);
  const auto payload = cambrian::make_heap_storage(payload_bytes);
  std::memcpy(payload->data(), data + size - payload_bytes, payload_bytes);
  const std::string_view json(reinterpret_cast<const char*>(data) + 1, size - 1 - payload_bytes);
  try {
    const cambrian::Message message = cambrian::decode_message(json, payload, {});
    // What was accepted can be said again.
    for (const cambrian::Tensor& tensor : message.tensors) cambrian::is_finite(tensor);
    cambrian::encode_message(message);
  } catch (const cambrian::FrameError&) {
  }
  return 0;
}
