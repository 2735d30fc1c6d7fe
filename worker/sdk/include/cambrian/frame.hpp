#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cambrian/json.hpp"
#include "cambrian/tensor.hpp"

namespace cambrian {

/// Limits of the frame protocol, version 1 (docs/judge-protocol.md).
inline constexpr std::size_t kJsonBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kPayloadBytesMax = std::size_t{1} << 30;
inline constexpr std::size_t kTensorsMax = 4096;
inline constexpr std::size_t kTensorNameBytesMax = 256;
inline constexpr std::size_t kDescriptorsMax = 16;
/// Payload of a checkpoint. With the rest of its frame it fits into a content of 64 MiB, the
/// largest that a coordinator takes.
inline constexpr std::size_t kCheckpointBytesMax = std::size_t{62} << 20;
/// A tensor in the payload starts at the next multiple of this behind the one before.
inline constexpr std::size_t kPayloadAlignment = 8;

/// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Descriptor();

  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }
  explicit operator bool() const { return value_ >= 0; }

 private:
  int value_ = -1;
};

/// What ended a conversation.
class FrameError : public std::runtime_error {
 public:
  enum class Kind {
    closed,     ///< The other side closed the stream or died.
    timeout,    ///< The deadline passed.
    malformed,  ///< What arrived is not a frame, or breaks a limit or a rule.
    system,     ///< A system call failed on our side.
  };

  FrameError(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// One frame: a type, the other members of its JSON object, and tensors.
struct Message {
  std::string type;
  JsonObject members;
  std::vector<Tensor> tensors;
  /// Descriptors that travel with the frame besides those of shared tensors.
  std::vector<Descriptor> descriptors;

  Message() = default;
  explicit Message(std::string type_name, JsonObject other_members = {})
      : type(std::move(type_name)), members(std::move(other_members)) {}

  /// A member or tensor that must be there. Throws FrameError (malformed) where it is missing or of
  /// another kind.
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const Tensor& tensor(std::string_view name) const;
  /// The tensor, or nothing.
  const Tensor* find_tensor(std::string_view name) const;
};

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

/// What a receiver accepts of one frame. A frame above a limit is refused before it is read.
struct ReceiveLimits {
  std::size_t json_bytes = kJsonBytesMax;
  std::size_t payload_bytes = kPayloadBytesMax;
  /// Whether descriptors, and so shared tensors, may come along. Without, they are dropped unread.
  bool descriptors = false;
};

class MessageDecoder;

/// Sends and receives frames over a connected Unix stream socket. Blocking, each call with a
/// deadline of its own. One thread at a time. After a FrameError the stream is of no more use.
class Channel {
 public:
  Channel() = default;
  explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}

  /// Throws FrameError, or std::invalid_argument for a message above a limit.
  void send(const Message& message, Deadline deadline);
  /// Strict: magic, lengths, JSON, and that the tensors fill the payload exactly. Throws
  /// FrameError.
  Message receive(Deadline deadline, const ReceiveLimits& limits = {});

  /// Waits until receive has something to read, at most so long: of a frame, or the stream's end.
  /// A poll of the descriptor alone would miss what was read ahead.
  bool wait_readable(std::chrono::milliseconds longest) const;

  int descriptor() const { return socket_.get(); }
  void close() { socket_ = Descriptor(); }

 private:
  void receive_bytes(std::byte* out, std::size_t size, Deadline deadline);
  std::vector<Descriptor> receive_first(std::byte* out, std::size_t size, Deadline deadline,
                                        bool descriptors);
  void fill_ahead(Deadline deadline);

  Descriptor socket_;
  // Read but not asked for yet. A short frame is then one call of the system: for tasks of many
  // small questions these calls are most of the time.
  std::array<std::byte, 4096> ahead_{};
  std::size_t ahead_begin_ = 0;
  std::size_t ahead_end_ = 0;
  std::shared_ptr<MessageDecoder> decoder_;  // Not shared: unique_ptr would need the complete type.
};

/// Waits until `first` or `second` has something to read. True: `first` has. Throws FrameError
/// (timeout).
bool wait_for_first(const Channel& first, const Channel& second, Deadline deadline);

/// A frame as bytes, as it would travel, and back. Frames with descriptors cannot be written:
/// std::invalid_argument, as for those above a limit. Reading throws FrameError (malformed) for
/// everything that is not exactly one frame.
std::string to_bytes(const Message& message);
Message from_bytes(std::string_view bytes);

/// A connected pair of Unix stream sockets, closed on exec. Throws std::system_error.
std::pair<Descriptor, Descriptor> make_socket_pair();

/// The channel named by the environment variable CAMBRIAN_FD, which is then unset. Throws
/// std::runtime_error where there is none.
Channel channel_from_environment();

}  // namespace cambrian
