#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/domain/chat.hpp"
#include "codegen-client/domain/retry.hpp"
#include "common/base/secret.hpp"

namespace cambrian::codegen::openai {

struct HttpRequest {
  std::string url{};
  std::string body{};  ///< JSON; sent by POST. Empty: GET.
  bool wants_events = false;
  std::chrono::milliseconds timeout_total{600'000};
  std::optional<std::chrono::milliseconds> timeout_idle{};  ///< Between two bytes of the reply.
  /// Larger replies end as too_large.
  std::size_t reply_bytes_max = std::size_t{2} << 20;
};

struct HttpReply {
  int status = 0;
  bool was_sent = true;  ///< False: it ended before there was a connection to send it over.
  Headers headers{};
  /// A failure of the transfer itself; the status may be there all the same.
  std::optional<CallFailure> failure{};
};

/// HTTP requests by libcurl, one after another on each of a bounded set of handles, which keep
/// their connections. TLS certificates are verified, redirects are not followed (the key would go
/// along), proxies come from the environment but for loopback addresses. Any thread.
class HttpClient {
 public:
  static constexpr std::chrono::seconds kConnectTimeout{5};
  /// How long what nobody wants any more may go on, so that the connection can be kept.
  static constexpr std::chrono::seconds kRestTimeout{1};
  static constexpr std::size_t kHandlesKept = 64;

  /// Takes the bytes of the body as they come. False: the rest is not wanted.
  using OnBody = std::function<bool(const HttpReply& head, std::string_view bytes)>;

  /// The key is sent as a bearer token when it is not empty.
  explicit HttpClient(Secret key);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Blocks until the reply is complete. Ends within about a second when stopped.
  HttpReply perform(const HttpRequest& request, const OnBody& on_body, std::stop_token stop);

  const Secret& key() const { return key_; }

 private:
  struct Handle;
  struct Transfer;

  std::unique_ptr<Handle> take_handle();
  void keep_handle(std::unique_ptr<Handle> handle);

  Secret key_;
  std::mutex mutex_;  // Guards idle_.
  std::vector<std::unique_ptr<Handle>> idle_;
};

/// The URL without user, password and query: fit for logs.
std::string loggable_url(std::string_view url);

}  // namespace cambrian::codegen::openai
