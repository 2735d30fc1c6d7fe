#include "codegen-client/adapters/openai/request_body.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "codegen-client/domain/text.hpp"

namespace cambrian::codegen::openai {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 3> kOptionalFields = {"stream_options", "seed", "temperature"};
// The token limits too: budgets are reserved by the campaign's.
constexpr std::array<const char*, 6> kOwnFields = {
    "messages", "model", "stream", "n", "max_tokens", "max_completion_tokens"};

/// True when a server says that it does not know or take a field: not, for example, that a value
/// is too large.
bool refuses_field(const CallFailure& failure, const std::string& field) {
  const std::string text = to_lower(failure.message);
  if (failure.parameter != field && text.find(field) == std::string::npos) return false;
  // Not just "support": "max_tokens is too large: this model supports at most 4096".
  constexpr std::array<const char*, 9> kWords = {"unsupported",  "not support",   "n't support",
                                                 "unrecognized", "unknown",       "unexpected",
                                                 "extra",        "not permitted", "not allowed"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&text](const char* word) { return text.find(word) != std::string::npos; });
}

}  // namespace

std::string make_body(const ChatRequest& request, const Capabilities& capabilities,
                      const BodyOptions& options) {
  const auto is_taken = [&capabilities](const char* field) {
    return !capabilities.refused_fields.contains(field);
  };
  json body;
  body["model"] = request.model;
  body["messages"] = json::array();
  for (const Message& message : request.messages) {
    body["messages"].push_back({{"role", to_string(message.role)}, {"content", message.content}});
  }
  body[capabilities.token_limit_field] = request.output_tokens;
  if (request.temperature && is_taken("temperature")) body["temperature"] = *request.temperature;
  if (is_taken("seed")) body["seed"] = request.seed;
  if (options.stream) {
    body["stream"] = true;
    if (is_taken("stream_options")) body["stream_options"] = {{"include_usage", true}};
  }
  if (!options.extra_body.empty()) {
    body.update(json::parse(options.extra_body, nullptr, /*allow_exceptions=*/false));
    for (const std::string& field : capabilities.refused_fields) body.erase(field);
  }
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<Capabilities> adapt(const Capabilities& before, const CallFailure& failure) {
  if (failure.status != 400 && failure.status != 422) return std::nullopt;
  Capabilities after = before;
  if (!before.is_token_limit_switched && refuses_field(failure, before.token_limit_field)) {
    after.is_token_limit_switched = true;
    after.token_limit_field =
        before.token_limit_field == "max_tokens" ? "max_completion_tokens" : "max_tokens";
    return after;
  }
  for (const char* field : kOptionalFields) {
    if (before.refused_fields.contains(field) || !refuses_field(failure, field)) continue;
    after.refused_fields.insert(field);
    return after;
  }
  return std::nullopt;
}

Status check_extra_body(const std::string& text) {
  if (text.empty()) return {};
  const json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) {
    return fail(Errc::invalid_argument,
                "extra_body is not a JSON object: " + to_one_line(text, 80));
  }
  for (const char* field : kOwnFields) {
    if (value.contains(field)) {
      return fail(Errc::invalid_argument,
                  "extra_body sets a field that is set here: " + std::string(field));
    }
  }
  return {};
}

}  // namespace cambrian::codegen::openai
