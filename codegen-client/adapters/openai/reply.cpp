#include "codegen-client/adapters/openai/reply.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "codegen-client/domain/text.hpp"
#include "codegen-client/domain/tokens.hpp"

namespace cambrian::codegen::openai {
namespace {

using nlohmann::json;

constexpr std::size_t kMessageBytesMax = 512;
// Deeper replies are an attack on the parser's stack, not an answer.
constexpr int kDepthMax = 64;
// More is a mistake of the server, and the coordinator takes no more.
constexpr double kTokensMax = 1e9;

/// Discarded when it is not JSON, or too deep.
json parse_json(std::string_view text) {
  bool is_too_deep = false;
  const auto limit = [&is_too_deep](int depth, json::parse_event_t, json&) {
    if (depth > kDepthMax) is_too_deep = true;
    return !is_too_deep;
  };
  json value = json::parse(text, limit, /*allow_exceptions=*/false);
  return is_too_deep ? json(json::value_t::discarded) : value;
}

const json* find(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::string text_of(const json* value) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::int64_t number_of(const json* value) {
  if (value == nullptr || !value->is_number()) return 0;
  const double number = value->get<double>();
  return number > 0 && number <= kTokensMax ? static_cast<std::int64_t>(number) : 0;
}

/// Words of the server for logs and reports.
std::string note_of(std::string text, const Secret& key) {
  return to_one_line(key.redact(std::move(text)), kMessageBytesMax);
}

/// A string, or the texts of a list of parts.
std::string content_of(const json* value) {
  if (value == nullptr || !value->is_array()) return text_of(value);
  std::string text;
  for (const json& part : *value) text += text_of(find(part, "text"));
  return text;
}

FinishReason reason_of(const json* value) {
  const std::string text = text_of(value);
  if (text == "length" || text == "max_tokens" || text == "model_length") {
    return FinishReason::length;
  }
  if (text == "content_filter") return FinishReason::content_filter;
  return text == "stop" ? FinishReason::stop : FinishReason::other;
}

/// The server gave up: what there is of the answer is none.
std::optional<CallFailure> failure_of_reason(const json* value) {
  const std::string text = text_of(value);
  if (text != "error" && text != "abort") return std::nullopt;
  return CallFailure{.kind = FailureKind::server,
                     .status = 200,
                     .message = "the server broke the answer off: finish_reason=" + text,
                     .has_begun = true};
}

void read_usage(const json& reply, ChatReply& out) {
  const json* usage = find(reply, "usage");
  if (usage == nullptr || !usage->is_object()) return;
  const json* prompt_details = find(*usage, "prompt_tokens_details");
  const json* answer_details = find(*usage, "completion_tokens_details");
  TokenUsage tokens{.prompt_tokens = number_of(find(*usage, "prompt_tokens")),
                    .completion_tokens = number_of(find(*usage, "completion_tokens"))};
  if (prompt_details != nullptr) {
    tokens.cached_prompt_tokens = number_of(find(*prompt_details, "cached_tokens"));
  } else {
    tokens.cached_prompt_tokens = number_of(find(*usage, "prompt_cache_hit_tokens"));  // DeepSeek.
  }
  if (answer_details != nullptr) {
    tokens.reasoning_tokens = number_of(find(*answer_details, "reasoning_tokens"));
  }
  // Servers that do not count them among the others; they are charged all the same.
  if (tokens.cached_prompt_tokens > tokens.prompt_tokens) {
    tokens.prompt_tokens += tokens.cached_prompt_tokens;
  }
  const std::int64_t apart =
      tokens.prompt_tokens + tokens.completion_tokens + tokens.reasoning_tokens;
  if (tokens.reasoning_tokens > 0 && number_of(find(*usage, "total_tokens")) == apart) {
    tokens.completion_tokens += tokens.reasoning_tokens;
  }
  const auto limit = static_cast<std::int64_t>(kTokensMax);
  tokens.prompt_tokens = std::min(tokens.prompt_tokens, limit);
  tokens.completion_tokens = std::min(tokens.completion_tokens, limit);
  out.usage = tokens;
}

/// A message or a delta: the text, and thoughts under either of their two names.
void read_message(const json& message, ChatReply& out) {
  out.content += content_of(find(message, "content"));
  out.refusal += text_of(find(message, "refusal"));
  // Some send the same thoughts under both names.
  out.thought_bytes += std::max(text_of(find(message, "reasoning")).size(),
                                text_of(find(message, "reasoning_content")).size());
}

void take_out_thoughts(ChatReply& reply) {
  const std::size_t bytes = reply.content.size();
  reply.content = strip_thoughts(reply.content);
  reply.thought_bytes += bytes - reply.content.size();
}

const json* first_choice(const json& reply) {
  const json* choices = find(reply, "choices");
  return choices != nullptr && choices->is_array() && !choices->empty() ? &choices->front()
                                                                        : nullptr;
}

CallFailure malformed(const std::string& what) {
  return {.kind = FailureKind::malformed, .message = what};
}

FailureKind kind_of(int status, const std::string& code, const std::string& type) {
  const bool has_no_money = code == "insufficient_quota" || type == "insufficient_quota" ||
                            code == "billing_hard_limit_reached";
  if (status == 402 || has_no_money) return FailureKind::no_quota;
  if (status == 429 || code == "rate_limit_exceeded") return FailureKind::rate_limited;
  if (status == 401 || status == 403) return FailureKind::unauthorized;
  if (status == 408 || status == 409 || status >= 500) return FailureKind::server;
  return FailureKind::refused_request;
}

/// An `error` member, in any of the shapes that servers use: an object, a string, or FastAPI's
/// `detail`. `status` is that of the reply; inside a 200 the error's own number is used.
CallFailure read_error(const json& error, int status, const Secret& key) {
  CallFailure failure{.status = status};
  failure.message = error.is_string() ? text_of(&error) : text_of(find(error, "message"));
  if (failure.message.empty())
    failure.message = error.dump(-1, ' ', false, json::error_handler_t::replace);
  failure.message = note_of(std::move(failure.message), key);
  failure.parameter = note_of(text_of(find(error, "param")), key);
  const json* code = find(error, "code");
  const bool is_inside_success = status >= 200 && status < 300;
  if (is_inside_success) {
    failure.has_begun = true;
    const std::int64_t own = number_of(code);
    failure.status = own >= 400 && own < 600 ? static_cast<int>(own) : 500;
  }
  failure.kind = kind_of(failure.status, text_of(code), text_of(find(error, "type")));
  return failure;
}

/// The error inside a reply, if there is one. Older vLLM sends it bare: `{"object":"error", …}`.
const json* find_error(const json& reply) {
  const json* error = find(reply, "error");
  if (error != nullptr && !error->is_null()) return error;
  return text_of(find(reply, "object")) == "error" ? &reply : nullptr;
}

}  // namespace

std::string strip_thoughts(std::string_view content) {
  constexpr std::string_view kOpen = "<think>";
  constexpr std::string_view kClose = "</think>";
  // Some chat templates put the opening tag into the prompt: only the end shows in the answer.
  const std::size_t close = content.rfind(kClose);
  if (close != std::string_view::npos) content.remove_prefix(close + kClose.size());
  const std::string_view start =
      content.substr(std::min(content.find_first_not_of(" \t\r\n"), content.size()));
  if (start.starts_with(kOpen)) return {};
  const std::size_t open = content.find("\n" + std::string(kOpen));
  return std::string(content.substr(0, open));
}

std::variant<ChatReply, CallFailure> parse_reply(std::string_view body, const Secret& key) {
  const json reply = parse_json(body);
  if (!reply.is_object()) return malformed("the reply is not a JSON object");
  if (const json* error = find_error(reply)) return read_error(*error, 200, key);
  const json* choice = first_choice(reply);
  if (choice == nullptr) return malformed("the reply has no choices");
  if (const json* error = find_error(*choice)) return read_error(*error, 200, key);
  if (auto failure = failure_of_reason(find(*choice, "finish_reason"))) return *failure;
  const json* message = find(*choice, "message");
  if (message == nullptr || !message->is_object()) return malformed("the choice has no message");
  ChatReply out;
  read_message(*message, out);
  take_out_thoughts(out);
  out.model = note_of(text_of(find(reply, "model")), key);
  out.id = note_of(text_of(find(reply, "id")), key);
  out.finish_reason = reason_of(find(*choice, "finish_reason"));
  read_usage(reply, out);
  return out;
}

CallFailure parse_error(int status, std::string_view body, const Secret& key) {
  const json reply = parse_json(body);
  CallFailure failure{.kind = kind_of(status, {}, {}), .status = status};
  if (const json* error = find_error(reply)) {
    failure = read_error(*error, status, key);
  } else if (const json* detail = find(reply, "detail")) {
    failure = read_error(*detail, status, key);
  } else if (reply.is_object()) {
    failure = read_error(reply, status, key);
  } else {
    failure.message = note_of(std::string(trim(body)), key);
  }
  const std::string prefix = "HTTP " + std::to_string(status);
  failure.message = to_one_line(failure.message.empty() ? prefix : prefix + ": " + failure.message,
                                kMessageBytesMax);
  return failure;
}

bool StreamedReply::fail_with(CallFailure failure) {
  failure_ = std::move(failure);
  has_failed_ = true;
  return false;
}

bool StreamedReply::add(std::string_view data) {
  if (has_failed_) return false;
  if (data == "[DONE]") {
    is_finished_ = true;
    return false;
  }
  const json chunk = parse_json(data);
  const json* error = find_error(chunk);
  const json* choice = first_choice(chunk);
  if (error == nullptr && choice != nullptr) error = find_error(*choice);
  const Secret none;
  const Secret& key = key_ != nullptr ? *key_ : none;
  if (error != nullptr) return fail_with(read_error(*error, 200, key));
  if (!chunk.is_object()) return fail_with(malformed("an event is not a JSON object"));
  read_usage(chunk, reply_);
  if (reply_.model.empty()) reply_.model = note_of(text_of(find(chunk, "model")), key);
  if (reply_.id.empty()) reply_.id = note_of(text_of(find(chunk, "id")), key);
  if (choice == nullptr) return true;  // The last chunk has usage and no choices.
  if (auto failure = failure_of_reason(find(*choice, "finish_reason"))) {
    return fail_with(std::move(*failure));
  }
  read_choice(*choice);
  if (reply_.content.size() + reply_.refusal.size() + reply_.thought_bytes > kBytesMax) {
    return fail_with(
        {.kind = FailureKind::too_large,
         .message = "the answer is longer than " + std::to_string(kBytesMax) + " bytes"});
  }
  return true;
}

void StreamedReply::read_choice(const json& choice) {
  if (const json* delta = find(choice, "delta")) read_message(*delta, reply_);
  has_begun_ = has_begun_ || !reply_.content.empty() || reply_.thought_bytes > 0;
  // Some servers put an empty reason into every chunk, also into those behind the last word.
  const json* reason = find(choice, "finish_reason");
  if (has_reason_ || text_of(reason).empty()) return;
  reply_.finish_reason = reason_of(reason);
  has_reason_ = true;
  is_finished_ = true;
}

std::int64_t StreamedReply::received_tokens() const {
  return estimate_tokens(reply_.content) + estimate_thought_tokens(reply_.thought_bytes);
}

std::variant<ChatReply, CallFailure> StreamedReply::finish() && {
  if (has_failed_) return std::move(failure_);
  if (!is_finished_) {
    return CallFailure{.kind = FailureKind::cut,
                       .message = "the stream ended before the answer did"};
  }
  take_out_thoughts(reply_);
  return std::move(reply_);
}

}  // namespace cambrian::codegen::openai
