#include "codegen-client/model_server/chat/request.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace cambrian::codemodel {
namespace {

using Json = nlohmann::json;

/// Reads members of a body; the first problem is kept, and later checks are skipped.
class Reader {
 public:
  Reader(const Json& body, ApiError& error) : body_(body), error_(error) {}

  bool is_good() const { return good_; }

  void refuse(std::string_view param, std::string message,
              std::optional<std::string> code = "invalid_value") {
    if (!good_) return;
    good_ = false;
    error_.message = std::move(message);
    error_.param = std::string(param);
    error_.code = std::move(code);
  }

  /// The member where it is present and not null.
  const Json* find(const char* name) const {
    const auto found = body_.find(name);
    return found == body_.end() || found->is_null() ? nullptr : &*found;
  }

  std::optional<double> number(const char* name, double low, double high) {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number() || value->get<double>() < low || value->get<double>() > high) {
      refuse(name, "'" + std::string(name) + "' must be a number from " + Json(low).dump() +
                       " to " + Json(high).dump());
      return std::nullopt;
    }
    return value->get<double>();
  }

  std::optional<std::int64_t> integer(const char* name, std::int64_t low, std::int64_t high) {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    const bool is_whole = value->is_number_integer();
    const bool fits = is_whole && !(value->is_number_unsigned() &&
                                    value->get<std::uint64_t>() > static_cast<std::uint64_t>(high));
    if (!fits || value->get<std::int64_t>() < low || value->get<std::int64_t>() > high) {
      refuse(name, "'" + std::string(name) + "' must be a whole number from " +
                       std::to_string(low) + " to " + std::to_string(high));
      return std::nullopt;
    }
    return value->get<std::int64_t>();
  }

  bool boolean(const char* name) {
    const Json* value = find(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) refuse(name, "'" + std::string(name) + "' must be true or false");
    return value->is_boolean() && value->get<bool>();
  }

 private:
  const Json& body_;
  ApiError& error_;
  bool good_ = true;
};

/// Text of a content: a string, or parts of type text.
std::optional<std::string> text_of(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return std::nullopt;
  std::string text;
  for (const Json& part : content) {
    const bool is_text = part.is_object() && part.value("type", Json()) == "text" &&
                         part.contains("text") && part["text"].is_string();
    if (!is_text) return std::nullopt;
    text += part["text"].get<std::string>();
  }
  return text;
}

void read_messages(Reader& reader, ChatRequest& request) {
  const Json* messages = reader.find("messages");
  if (messages == nullptr) {
    reader.refuse("messages", "you must provide 'messages'", "missing_required_parameter");
    return;
  }
  if (!messages->is_array() || messages->empty() || messages->size() > kMessagesMax) {
    reader.refuse("messages", "'messages' must be a list of 1 to " + std::to_string(kMessagesMax) +
                                  " messages");
    return;
  }
  static constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                             "assistant", "tool",      "function"};
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const Json& message = (*messages)[i];
    const std::string where = "messages[" + std::to_string(i) + "]";
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      return reader.refuse(where + ".role", "each message needs a 'role'");
    }
    const auto role = message["role"].get<std::string>();
    if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
      return reader.refuse(where + ".role", "unknown role: '" + role.substr(0, 64) + "'");
    }
    const auto content = message.find("content");
    const bool is_absent = content == message.end() || content->is_null();
    if (is_absent && role != "assistant") {
      return reader.refuse(where + ".content", "a message of role '" + role + "' needs a content");
    }
    const auto text = is_absent ? std::optional<std::string>("") : text_of(*content);
    if (!text) {
      return reader.refuse(where + ".content", "'content' must be a string or parts of type text");
    }
    request.messages.push_back({role, *text});
  }
}

void read_stops(Reader& reader, ChatRequest& request) {
  const Json* stop = reader.find("stop");
  if (stop == nullptr) return;
  if (stop->is_string()) {
    request.stops.push_back(stop->get<std::string>());
    return;
  }
  const bool is_list =
      stop->is_array() && !stop->empty() && stop->size() <= kStopsMax &&
      std::all_of(stop->begin(), stop->end(), [](const Json& word) { return word.is_string(); });
  if (!is_list) return reader.refuse("stop", "'stop' must be a string or a list of 1 to 4 strings");
  request.stops = stop->get<std::vector<std::string>>();
}

void read_format(Reader& reader, ChatRequest& request) {
  const Json* format = reader.find("response_format");
  if (format == nullptr) return;
  const Json type = format->is_object() ? format->value("type", Json()) : Json();
  if (type == "text") return;
  if (type == "json_object") {
    request.wants_json = true;
    return;
  }
  if (type == "json_schema") {
    return reader.refuse("response_format.type",
                         "this model does not support response_format json_schema",
                         "unsupported_value");
  }
  reader.refuse("response_format.type",
                "'response_format.type' must be text, json_object or json_schema");
}

void read_stream(Reader& reader, ChatRequest& request) {
  request.is_stream = reader.boolean("stream");
  const Json* options = reader.find("stream_options");
  if (options == nullptr) return;
  if (!request.is_stream) {
    return reader.refuse("stream_options", "'stream_options' is allowed only with 'stream'");
  }
  const Json usage = options->is_object() ? options->value("include_usage", Json(false)) : Json();
  if (!usage.is_boolean()) {
    return reader.refuse("stream_options.include_usage",
                         "'stream_options.include_usage' must be true or false");
  }
  request.includes_usage = usage.get<bool>();
}

void read_model(Reader& reader, ChatRequest& request) {
  const Json* model = reader.find("model");
  if (model == nullptr) {
    return reader.refuse("model", "you must provide a 'model'", "missing_required_parameter");
  }
  if (!model->is_string()) return reader.refuse("model", "'model' must be a string");
  request.model = model->get<std::string>();
}

void read_limits(Reader& reader, ChatRequest& request) {
  constexpr std::int64_t kTokensLimitMax = 1'000'000'000;
  request.n = static_cast<int>(reader.integer("n", 1, kChoicesMax).value_or(1));
  request.seed = reader.integer("seed", INT64_MIN, INT64_MAX);
  request.temperature = reader.number("temperature", 0, 2);
  reader.number("top_p", 0, 1);
  reader.number("presence_penalty", -2, 2);
  reader.number("frequency_penalty", -2, 2);
  const auto older = reader.integer("max_tokens", 1, kTokensLimitMax);
  const auto newer = reader.integer("max_completion_tokens", 1, kTokensLimitMax);
  request.tokens_max = static_cast<std::size_t>(newer.value_or(older.value_or(0)));
  if (reader.boolean("logprobs")) {
    reader.refuse("logprobs", "this model has no log probabilities", "unsupported_value");
  }
}

}  // namespace

std::string ApiError::body() const {
  const auto nullable = [](const std::optional<std::string>& text) {
    return text ? Json(*text) : Json();
  };
  const Json error{{"error",
                    {{"message", message},
                     {"type", type},
                     {"param", nullable(param)},
                     {"code", nullable(code)}}}};
  return error.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool read_chat_request(std::string_view body, ChatRequest& request, ApiError& error) {
  const Json json = Json::parse(body, nullptr, false);
  Reader reader(json, error);
  if (!json.is_object()) {
    error.message = "the body is not a JSON object";
    return false;
  }
  read_model(reader, request);
  read_messages(reader, request);
  read_limits(reader, request);
  read_stops(reader, request);
  read_format(reader, request);
  read_stream(reader, request);
  return reader.is_good();
}

}  // namespace cambrian::codemodel
