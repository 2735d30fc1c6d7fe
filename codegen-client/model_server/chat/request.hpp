#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/model_server/chat/prompt.hpp"

namespace cambrian::codemodel {

/// A refusal in the shape that clients of the protocol expect: all four members, two of them may
/// be null.
struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::optional<std::string> param;
  std::optional<std::string> code;

  /// {"error": {"message", "type", "param", "code"}}
  std::string body() const;
};

/// A checked request for a chat completion.
struct ChatRequest {
  std::string model;
  std::vector<Message> messages;
  int n = 1;
  std::vector<std::string> stops;
  std::optional<std::int64_t> seed;
  std::optional<double> temperature;
  std::size_t tokens_max = 0;  ///< 0: no limit but the context's.
  bool is_stream = false;
  bool includes_usage = false;
  bool wants_json = false;  ///< response_format json_object.
};

// Limits of a request; beyond them it is refused with 400.
inline constexpr std::size_t kMessagesMax = 256;
inline constexpr int kChoicesMax = 128;
inline constexpr std::size_t kStopsMax = 4;

/// Reads and checks the body of a chat completion. Unknown members are ignored, as servers of this
/// kind do. True on success; else `error` says which member is wrong.
bool read_chat_request(std::string_view body, ChatRequest& request, ApiError& error);

}  // namespace cambrian::codemodel
