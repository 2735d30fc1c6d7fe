#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "codegen-client/domain/chat.hpp"

namespace cambrian::codegen {

/// A code model behind some protocol.
class ChatModel {
 public:
  virtual ~ChatModel() = default;

  /// Sends the request once and waits for the answer. Blocks; any thread; calls may overlap. Never
  /// throws: what goes wrong is a CallFailure. `cancelled` within about a second when stopped.
  virtual Sending send(const ChatRequest& request, std::stop_token stop) = 0;

  /// Prompt and answer together, as far as the endpoint says how much it takes. May change.
  virtual std::optional<std::int64_t> context_tokens() const { return std::nullopt; }
};

}  // namespace cambrian::codegen
