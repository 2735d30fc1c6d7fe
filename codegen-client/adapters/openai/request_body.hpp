#pragma once

#include <optional>
#include <set>
#include <string>

#include "codegen-client/domain/chat.hpp"
#include "common/base/result.hpp"

namespace cambrian::codegen::openai {

/// What an endpoint understands of requests to one model, as far as it is known: it begins with the
/// configuration and changes when the server refuses a field.
struct Capabilities {
  std::string token_limit_field = "max_tokens";
  bool is_token_limit_switched = false;
  std::set<std::string> refused_fields{};  ///< Optional ones, which are left out.
};

struct BodyOptions {
  bool stream = false;
  std::string extra_body{};  ///< JSON object, merged in; without refused fields. May be empty.
};

/// The body of a POST to /chat/completions. Bytes that are not UTF-8 become U+FFFD.
std::string make_body(const ChatRequest& request, const Capabilities& capabilities,
                      const BodyOptions& options);

/// What to leave out or to rename after a refusal (400 or 422) that names an optional field or the
/// token limit as not supported. Nothing when the refusal has another reason, or when that was
/// tried before: each field changes once only.
std::optional<Capabilities> adapt(const Capabilities& before, const CallFailure& failure);

/// Errors: invalid_argument when the text is not a JSON object, or sets a field that is ours.
Status check_extra_body(const std::string& text);

}  // namespace cambrian::codegen::openai
