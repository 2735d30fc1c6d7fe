#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "codegen-client/domain/chat.hpp"
#include "common/base/secret.hpp"

/// Reading what servers answer to POST /chat/completions. Everything read is untrusted; no input
/// throws. The key is taken out of every text that is shortened here, before that: servers quote
/// what they were sent. Pure; any thread.
namespace cambrian::codegen::openai {

/// What is left of an answer when the thoughts in it are taken out: everything up to the last
/// `</think>`, and everything behind a `<think>` that does not end.
std::string strip_thoughts(std::string_view content);

/// The body of a 200 that was not streamed. An error inside it is a failure.
std::variant<ChatReply, CallFailure> parse_reply(std::string_view body,
                                                 const Secret& key = Secret());

/// The failure behind a status that is not 2xx. The body may be anything.
CallFailure parse_error(int status, std::string_view body, const Secret& key = Secret());

/// Puts a streamed answer together.
class StreamedReply {
 public:
  /// Largest answer, thoughts included, in bytes.
  static constexpr std::size_t kBytesMax = std::size_t{2} << 20;

  StreamedReply() = default;
  /// The key must outlive it.
  explicit StreamedReply(const Secret& key) : key_(&key) {}

  /// Data of one event. False: the stream has said all that it will, or an error.
  bool add(std::string_view data);
  /// True once a part of the answer or of the thoughts has arrived.
  bool has_begun() const { return has_begun_; }
  /// Tokens of the answer and the thoughts that have arrived, about.
  std::int64_t received_tokens() const;
  /// The answer once the stream has ended. One that ends with neither a finish reason nor `[DONE]`
  /// was cut.
  std::variant<ChatReply, CallFailure> finish() &&;

 private:
  void read_choice(const nlohmann::json& choice);
  bool fail_with(CallFailure failure);

  const Secret* key_ = nullptr;  // Null: there is none.
  ChatReply reply_;
  CallFailure failure_;
  bool has_failed_ = false;
  bool has_begun_ = false;
  bool has_reason_ = false;
  bool is_finished_ = false;
};

}  // namespace cambrian::codegen::openai
