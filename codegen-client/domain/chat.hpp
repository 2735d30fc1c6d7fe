#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The vocabulary of talking to a model: values only.
namespace cambrian::codegen {

enum class Role { system, user, assistant };

constexpr std::string_view to_string(Role role) {
  switch (role) {
    case Role::system: return "system";
    case Role::user: return "user";
    case Role::assistant: return "assistant";
  }
  return "user";
}

struct Message {
  Role role = Role::user;
  std::string content{};
  friend bool operator==(const Message&, const Message&) = default;
};

struct ChatRequest {
  std::string model{};
  std::vector<Message> messages{};
  std::optional<double> temperature{};
  std::int64_t output_tokens = 0;  ///< Largest answer.
  std::int64_t seed = 0;           ///< 0 to 2^63 - 1. Servers may ignore it.
};

struct TokenUsage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;     ///< Thoughts included.
  std::int64_t cached_prompt_tokens = 0;  ///< Of the prompt's; the server had them in a cache.
  std::int64_t reasoning_tokens = 0;      ///< Of the answer's: thoughts.
  friend bool operator==(const TokenUsage&, const TokenUsage&) = default;
};

/// Why the model stopped. `length` is a truncated answer, which is never applied. `other` is taken
/// like `stop` and counted apart: the server gave a reason that is not known here, or none.
enum class FinishReason { stop, length, content_filter, other };

constexpr std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop: return "stop";
    case FinishReason::length: return "length";
    case FinishReason::content_filter: return "content_filter";
    case FinishReason::other: return "other";
  }
  return "other";
}

/// A complete answer.
struct ChatReply {
  std::string content{};  ///< Without thoughts. May be empty.
  std::string refusal{};  ///< Why the model refused. Empty: it did not.
  std::string model{};    ///< As the server names it; may be empty.
  FinishReason finish_reason = FinishReason::other;
  std::optional<TokenUsage> usage{};
  std::size_t thought_bytes = 0;  ///< Thoughts, taken out of the content or beside it.
  std::string id{};               ///< The server's name for the reply; may be empty.
};

enum class FailureKind {
  rate_limited,     ///< 429: slower, please.
  no_quota,         ///< 402, or 429 with insufficient_quota: the account is empty.
  server,           ///< 408, 409, 5xx, or an error inside a 200.
  connect,          ///< No connection: name, port, TLS. Nothing was sent.
  timed_out,        ///< Too long, in total or between two bytes.
  cut,              ///< The connection or the stream ended before the answer did.
  malformed,        ///< Not a chat completion.
  prompt_cut,       ///< The server counted far fewer prompt tokens than were sent.
  too_large,        ///< The reply is longer than allowed.
  refused_request,  ///< 400, 404, 413, 422 and other 4xx: the same request fails again.
  unauthorized,     ///< 401, 403: the key.
  circuit_open,     ///< Not sent: the endpoint failed too often just before.
  not_sent,         ///< Not sent: a limit or the reserve has no room, or it is not on record.
  cancelled,        ///< Ended by us.
};

constexpr std::string_view to_string(FailureKind kind) {
  switch (kind) {
    case FailureKind::rate_limited: return "rate_limited";
    case FailureKind::no_quota: return "no_quota";
    case FailureKind::server: return "server";
    case FailureKind::connect: return "connect";
    case FailureKind::timed_out: return "timed_out";
    case FailureKind::cut: return "cut";
    case FailureKind::malformed: return "malformed";
    case FailureKind::prompt_cut: return "prompt_cut";
    case FailureKind::too_large: return "too_large";
    case FailureKind::refused_request: return "refused_request";
    case FailureKind::unauthorized: return "unauthorized";
    case FailureKind::circuit_open: return "circuit_open";
    case FailureKind::not_sent: return "not_sent";
    case FailureKind::cancelled: return "cancelled";
  }
  return "server";
}

/// Why a request has no answer.
struct CallFailure {
  FailureKind kind = FailureKind::server;
  int status = 0;           ///< HTTP status, 0 when there was none.
  std::string message{};    ///< One line, at most 512 bytes, without the key.
  std::string parameter{};  ///< Field of the request that the server names. May be empty.
  std::optional<bool> should_retry{};  ///< The server's own wish.
  std::optional<std::chrono::milliseconds> retry_after{};
  bool has_begun = false;  ///< The error came inside a 200: the model may have worked before it.
  std::int64_t completion_tokens = 0;  ///< Of what had come of the answer. Estimate.

  /// The request was sent and may have been worked on, and charged.
  bool is_outcome_unknown() const {
    return has_begun || kind == FailureKind::timed_out || kind == FailureKind::cut ||
           kind == FailureKind::malformed || kind == FailureKind::too_large ||
           kind == FailureKind::cancelled;
  }
  friend std::ostream& operator<<(std::ostream& out, const CallFailure& failure) {
    return out << to_string(failure.kind) << ": " << failure.message;
  }
};

/// One request that was sent once.
struct Sending {
  std::variant<ChatReply, CallFailure> outcome{};
  std::chrono::milliseconds latency{0};
  std::optional<std::chrono::milliseconds> time_to_first_token{};  ///< Only when streamed.
  std::string request_id{};   ///< The server's name for the request; may be empty.
  bool was_sent = true;       ///< False: it ended before the request left this process.
  bool was_streamed = false;  ///< A stream had begun: what came of it is known when it breaks.
};

}  // namespace cambrian::codegen
