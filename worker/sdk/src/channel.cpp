#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "cambrian/frame.hpp"
#include "worker/sdk/src/frame_codec.hpp"

namespace cambrian {
namespace {

using Kind = FrameError::Kind;

// Payload memory grows with what has arrived: a length alone must not make us allocate a gigabyte.
constexpr std::size_t kPayloadStepBytes = std::size_t{16} << 20;
constexpr std::size_t kVectorMax = 256;

std::string reason(const char* what) {
  return std::string(what) + ": " + std::generic_category().message(errno);
}

// Waits until the socket is ready for `events`, or throws.
void wait(int socket, short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) throw FrameError(Kind::timeout, "no answer in time");
    pollfd entry{socket, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left, INT_MAX)));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) throw FrameError(Kind::system, reason("poll"));
  }
}

// True where the call is to be made again after a wait; throws for everything else.
bool must_wait(const char* what) {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
  if (errno == EINTR) return false;
  if (errno == EPIPE || errno == ECONNRESET) throw FrameError(Kind::closed, "stream closed");
  throw FrameError(Kind::system, reason(what));
}

// Sends a list of pieces; the descriptors go with the first byte.
class Sender {
 public:
  Sender(int socket, std::vector<int> descriptors, Deadline deadline)
      : socket_(socket), descriptors_(std::move(descriptors)), deadline_(deadline) {}

  void add(const void* data, std::size_t size) {
    if (size > 0) pieces_.push_back({const_cast<void*>(data), size});
  }

  void run() {
    while (next_ < pieces_.size()) {
      const ssize_t sent = send_some();
      if (sent >= 0) {
        descriptors_.clear();
        advance(static_cast<std::size_t>(sent));
      } else if (must_wait("sendmsg")) {
        wait(socket_, POLLOUT, deadline_);
      }
    }
  }

 private:
  ssize_t send_some() {
    msghdr header{};
    header.msg_iov = &pieces_[next_];
    header.msg_iovlen = std::min(pieces_.size() - next_, kVectorMax);
    alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))] = {};
    if (!descriptors_.empty()) {
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE(descriptors_.size() * sizeof(int));
      cmsghdr* message = CMSG_FIRSTHDR(&header);
      message->cmsg_level = SOL_SOCKET;
      message->cmsg_type = SCM_RIGHTS;
      message->cmsg_len = CMSG_LEN(descriptors_.size() * sizeof(int));
      std::memcpy(CMSG_DATA(message), descriptors_.data(), descriptors_.size() * sizeof(int));
    }
    return ::sendmsg(socket_, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void advance(std::size_t sent) {
    while (sent > 0) {
      iovec& piece = pieces_[next_];
      const std::size_t step = std::min(sent, piece.iov_len);
      piece.iov_base = static_cast<std::byte*>(piece.iov_base) + step;
      piece.iov_len -= step;
      sent -= step;
      if (piece.iov_len == 0) ++next_;
    }
  }

  int socket_;
  std::vector<int> descriptors_;
  Deadline deadline_;
  std::vector<iovec> pieces_;
  std::size_t next_ = 0;
};

// The payload as it arrives: memory that grows in steps, in place where the system can.
class GrowingStorage : public TensorStorage {
 public:
  ~GrowingStorage() override { std::free(data_); }
  GrowingStorage() = default;
  GrowingStorage(const GrowingStorage&) = delete;
  GrowingStorage& operator=(const GrowingStorage&) = delete;

  std::byte* grow(std::size_t more) {
    void* grown = std::realloc(data_, size_ + more);
    if (grown == nullptr) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(grown);
    std::byte* start = data_ + size_;
    size_ += more;
    return start;
  }
  std::byte* data() const override { return data_; }
  std::size_t size() const override { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

std::vector<Descriptor> take_descriptors(msghdr& header) {
  std::vector<Descriptor> out;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int value = -1;
      std::memcpy(&value, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      out.emplace_back(value);
    }
  }
  return out;
}

}  // namespace

void Channel::send(const Message& message, Deadline deadline) {
  const EncodedMessage encoded = encode_message(message);
  const Header header = encode_header({encoded.json.size(), encoded.payload_bytes});
  constexpr std::array<std::byte, kPayloadAlignment> kPadding{};

  Sender sender(socket_.get(), encoded.descriptors, deadline);
  sender.add(header.data(), header.size());
  sender.add(encoded.json.data(), encoded.json.size());
  std::size_t end = 0;
  for (const PayloadPart& part : encoded.parts) {
    sender.add(kPadding.data(), part.offset - end);
    sender.add(part.tensor->data(), part.tensor->bytes().size());
    end = part.offset + part.tensor->bytes().size();
  }
  sender.run();
}

Message Channel::receive(Deadline deadline, const ReceiveLimits& limits) {
  // A sender that never pauses would otherwise never let us look at the clock.
  if (Clock::now() >= deadline) throw FrameError(Kind::timeout, "no answer in time");
  Header header;
  auto descriptors = receive_first(header.data(), header.size(), deadline, limits.descriptors);
  const FrameLengths lengths = decode_header(header);
  if (lengths.json > std::min(limits.json_bytes, kJsonBytesMax)) {
    throw FrameError(Kind::malformed, "JSON part too large: bytes=" + std::to_string(lengths.json));
  }
  if (lengths.payload > std::min(limits.payload_bytes, kPayloadBytesMax)) {
    throw FrameError(Kind::malformed,
                     "payload too large: bytes=" + std::to_string(lengths.payload) +
                         " expected_max=" + std::to_string(limits.payload_bytes));
  }
  // A small payload comes with the JSON; a large one goes to its place at once.
  const std::size_t together = lengths.payload <= ahead_.size() ? lengths.payload : 0;
  std::string json(lengths.json + together, '\0');
  receive_bytes(reinterpret_cast<std::byte*>(json.data()), json.size(), deadline);
  auto payload = std::make_shared<GrowingStorage>();
  if (together > 0) std::memcpy(payload->grow(together), json.data() + lengths.json, together);
  json.resize(lengths.json);
  while (payload->size() < lengths.payload) {
    const std::size_t step = std::min(lengths.payload - payload->size(), kPayloadStepBytes);
    receive_bytes(payload->grow(step), step, deadline);
  }
  if (!decoder_) decoder_ = std::make_shared<MessageDecoder>();
  return decoder_->decode(json, std::move(payload), std::move(descriptors));
}

bool Channel::wait_readable(std::chrono::milliseconds longest) const {
  if (ahead_begin_ < ahead_end_) return true;
  pollfd polled{socket_.get(), POLLIN, 0};
  return ::poll(&polled, 1, static_cast<int>(longest.count())) > 0;
}

bool wait_for_first(const Channel& first, const Channel& second, Deadline deadline) {
  // What was read ahead is in no descriptor any more.
  if (first.wait_readable(std::chrono::milliseconds(0))) return true;
  if (second.wait_readable(std::chrono::milliseconds(0))) return false;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) throw FrameError(Kind::timeout, "no answer in time");
    std::array<pollfd, 2> polled = {
        {{first.descriptor(), POLLIN, 0}, {second.descriptor(), POLLIN, 0}}};
    const int ready = ::poll(polled.data(), polled.size(),
                             static_cast<int>(std::min<std::int64_t>(left, INT_MAX)));
    if (ready > 0) return polled[0].revents != 0;
    if (ready < 0 && errno != EINTR) throw FrameError(Kind::system, reason("poll"));
  }
}

// Descriptors that come along are closed by the kernel: only for frames that may have none.
void Channel::fill_ahead(Deadline deadline) {
  for (;;) {
    wait(socket_.get(), POLLIN, deadline);  // First: between two frames there is nothing to read.
    const ssize_t got = ::recv(socket_.get(), ahead_.data(), ahead_.size(), MSG_DONTWAIT);
    if (got == 0) throw FrameError(Kind::closed, "stream closed");
    if (got > 0) {
      ahead_begin_ = 0;
      ahead_end_ = static_cast<std::size_t>(got);
      return;
    }
    must_wait("recv");
  }
}

void Channel::receive_bytes(std::byte* out, std::size_t size, Deadline deadline) {
  const std::size_t taken = std::min(size, ahead_end_ - ahead_begin_);
  if (taken > 0) std::memcpy(out, ahead_.data() + ahead_begin_, taken);
  ahead_begin_ += taken;
  out += taken;
  size -= taken;
  while (size > 0) {
    // Without room for them, the kernel closes descriptors that come along.
    const ssize_t got = ::recv(socket_.get(), out, size, MSG_DONTWAIT);
    if (got == 0) throw FrameError(Kind::closed, "stream closed");
    if (got > 0) {
      out += got;
      size -= static_cast<std::size_t>(got);
    } else if (must_wait("recv")) {
      wait(socket_.get(), POLLIN, deadline);
    }
  }
}

std::vector<Descriptor> Channel::receive_first(std::byte* out, std::size_t size, Deadline deadline,
                                               bool descriptors) {
  if (!descriptors || ahead_begin_ < ahead_end_) {
    while (size > 0) {
      if (ahead_begin_ == ahead_end_) fill_ahead(deadline);
      const std::size_t step = std::min(size, ahead_end_ - ahead_begin_);
      receive_bytes(out, step, deadline);
      out += step;
      size -= step;
    }
    return {};
  }
  for (;;) {
    wait(socket_.get(), POLLIN, deadline);
    iovec piece{out, size};
    alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t got = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got == 0) throw FrameError(Kind::closed, "stream closed");
    if (got > 0) {
      auto taken = take_descriptors(header);
      const auto count = static_cast<std::size_t>(got);
      receive_bytes(out + count, size - count, deadline);
      return taken;
    }
    must_wait("recvmsg");
  }
}

std::pair<Descriptor, Descriptor> make_socket_pair() {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::system_error(errno, std::system_category(), "socketpair");
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

Channel channel_from_environment() {
  const char* text = std::getenv("CAMBRIAN_FD");
  int number = -1;
  if (text == nullptr ||
      std::from_chars(text, text + std::strlen(text), number).ec != std::errc() || number < 0) {
    throw std::runtime_error("CAMBRIAN_FD does not name a descriptor: start this by a worker");
  }
  ::unsetenv("CAMBRIAN_FD");
  return Channel(Descriptor(number));
}

}  // namespace cambrian
