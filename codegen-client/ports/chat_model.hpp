#pragma once

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
};

}  // namespace cambrian::codegen
