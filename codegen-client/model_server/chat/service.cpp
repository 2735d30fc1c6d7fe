#include "codegen-client/model_server/chat/service.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "codegen-client/model_server/chat/answer.hpp"
#include "codegen-client/model_server/chat/reply.hpp"
#include "codegen-client/model_server/chat/tokens.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian::codemodel {
namespace {

using Json = nlohmann::json;

struct Model {
  std::string_view id;
  int boldness;
};
constexpr std::array<Model, 2> kModels = {{{"cambrian-mutator", 0}, {"cambrian-mutator-bold", 2}}};
/// The models appeared with the program; a fixed instant keeps the list the same everywhere.
constexpr std::int64_t kModelsCreated = 1'767'225'600;
/// Above this temperature a proposal holds one operator more.
constexpr double kHotTemperature = 1.2;

const Model* find_model(std::string_view id) {
  const auto found =
      std::find_if(kModels.begin(), kModels.end(), [&](const Model& m) { return m.id == id; });
  return found == kModels.end() ? nullptr : &*found;
}

Json model_object(std::string_view id) {
  return {{"id", id},
          {"object", "model"},
          {"created", kModelsCreated},
          {"owned_by", "cambrian"},
          {"max_model_len", kContextTokens}};
}

HttpReply json_reply(std::string body, int status = 200) {
  HttpReply reply;
  reply.status = status;
  reply.pieces.push_back(std::move(body));
  return reply;
}

ApiError unknown_model(std::string_view id) {
  return {.status = 404,
          .message = "the model '" + std::string(id.substr(0, 128)) + "' does not exist",
          .param = "model",
          .code = "model_not_found"};
}

std::string all_text(const std::vector<Message>& messages) {
  std::string text;
  for (const Message& message : messages) text += message.role + '\n' + message.content + '\n';
  return text;
}

/// The same messages and seed give the same answers. Without any seed, and unless the temperature
/// is 0, every request draws anew.
Rng generator_for(const ChatRequest& request, const Prompt& prompt, const std::string& text,
                  std::uint64_t request_number) {
  Rng rng = Rng(prompt.request.seed).split(text);
  if (request.seed) return rng.split(static_cast<std::uint64_t>(*request.seed));
  const bool is_free = !prompt.has_seed && request.temperature.value_or(1) > 0;
  return is_free ? rng.split("free").split(request_number) : rng;
}

Choice make_choice(const ChatRequest& request, Prompt prompt, Rng rng, std::size_t room) {
  prompt.request.seed = rng.next();
  if (request.temperature.value_or(1) > kHotTemperature) ++prompt.request.boldness;
  std::string text = answer_prompt(prompt);
  if (request.wants_json) text = Json{{"answer", text}}.dump();
  const std::size_t limit = request.tokens_max == 0 ? room : std::min(request.tokens_max, room);
  Completion completion = limit_completion(text, request.stops, limit);
  return {.content = std::move(completion.text),
          .finish_reason = completion.is_truncated ? "length" : "stop",
          .tokens = completion.tokens,
          .is_null = false,
          .reasoning = {}};
}

void halve(Choice& choice) {
  Completion cut =
      limit_completion(choice.content, {}, std::max<std::size_t>(choice.tokens / 2, 1));
  choice.content = std::move(cut.text);
  choice.tokens = cut.tokens;
  choice.finish_reason = "length";
}

/// Faults that change what the reply says.
void spoil(Completions& completions, FaultKind kind) {
  for (Choice& choice : completions.choices) {
    switch (kind) {
      case FaultKind::truncated: halve(choice); break;
      case FaultKind::reasoning:
        choice.reasoning = "Perhaps:\n<<<<<<< SEARCH\nnot\n=======\nmeant\n>>>>>>> REPLACE\n";
        choice.content = "<think>" + choice.reasoning + "</think>" + choice.content;
        break;
      case FaultKind::empty:
        choice.content.clear();
        choice.is_null = true;
        break;
      case FaultKind::filtered:
        choice.content.clear();
        choice.finish_reason = "content_filter";
        break;
      default: break;
    }
  }
  if (kind == FaultKind::no_usage) completions.has_usage = false;
}

ApiError server_error(int status, std::string message) {
  const bool is_ours = status >= 500;
  return {.status = status,
          .message = std::move(message),
          .type = is_ours ? "server_error" : "invalid_request_error",
          .param = std::nullopt,
          .code = std::nullopt};
}

/// Faults that replace the reply.
std::optional<HttpReply> refuse(const Fault& fault) {
  ApiError error = server_error(fault.status, "asked to fail: " + std::to_string(fault.status));
  switch (fault.kind) {
    case FaultKind::status: return error_reply(error);
    case FaultKind::rate_limit:
      error.type = "requests";
      error.code = "rate_limit_exceeded";
      break;
    case FaultKind::quota:
      error.type = "insufficient_quota";
      error.code = "insufficient_quota";
      break;
    case FaultKind::error_in_200: error.status = 200; break;
    case FaultKind::garbage: {
      HttpReply reply = json_reply("<html><body>Welcome to the proxy</body></html>\n");
      reply.content_type = "text/html";
      return reply;
    }
    default: return std::nullopt;
  }
  HttpReply reply = error_reply(error);
  if (!fault.retry_after.empty()) reply.headers.emplace_back("retry-after", fault.retry_after);
  return reply;
}

/// Faults that change how the reply is sent.
void disturb(HttpReply& reply, FaultKind kind) {
  if (kind == FaultKind::slow) reply.delay_before = kSlowDelay;
  if (kind == FaultKind::stall) reply.delay_inside = kStallDelay;
  if (kind == FaultKind::cut) reply.is_cut = true;
  if (kind == FaultKind::error_in_stream && reply.is_streamed) {
    reply.pieces.resize(std::max<std::size_t>(reply.pieces.size() / 2, 1));
    reply.pieces.push_back("data: " + server_error(500, "the model failed in the middle").body() +
                           "\n\n");
  }
}

}  // namespace

HttpReply error_reply(const ApiError& error) { return json_reply(error.body(), error.status); }

HttpReply ChatService::handle(const HttpRequest& request) {
  ++requests_;
  constexpr std::string_view kModelPrefix = "/v1/models/";
  const bool is_get = request.method == "GET";
  if (request.path == "/v1/chat/completions") {
    if (request.method == "POST") return complete(request);
  } else if (request.path == "/health") {
    if (is_get) return json_reply(R"({"status":"ok"})");
  } else if (request.path == "/v1/models") {
    if (is_get) return list_models();
  } else if (request.path.starts_with(kModelPrefix)) {
    if (is_get) return get_model(std::string_view(request.path).substr(kModelPrefix.size()));
  } else {
    return error_reply({.status = 404,
                        .message = "no such path: " + request.path.substr(0, 128),
                        .param = std::nullopt,
                        .code = "unknown_url"});
  }
  return error_reply({.status = 405,
                      .message = "method not allowed: " + request.method + " " + request.path,
                      .param = std::nullopt,
                      .code = "method_not_allowed"});
}

HttpReply ChatService::list_models() const {
  Json list{{"object", "list"}, {"data", Json::array()}};
  for (const Model& model : kModels) list["data"].push_back(model_object(model.id));
  return json_reply(list.dump());
}

HttpReply ChatService::get_model(std::string_view id) const {
  if (find_model(id) == nullptr) return error_reply(unknown_model(id));
  return json_reply(model_object(id).dump());
}

HttpReply ChatService::complete(const HttpRequest& http) {
  ChatRequest request;
  ApiError error;
  if (!read_chat_request(http.body, request, error)) return error_reply(error);
  auto fault = options_.has_faults ? parse_fault(request.model) : std::nullopt;
  const Model* model = find_model(fault ? kModels[0].id : std::string_view(request.model));
  if (model == nullptr) return error_reply(unknown_model(request.model));
  if (fault && !fault_counter_.is_due(request.model, *fault)) fault.reset();
  if (fault) {
    if (auto refusal = refuse(*fault)) return std::move(*refusal);
  }
  const std::string text = all_text(request.messages);
  Completions completions;
  completions.created = http.now;
  completions.model = request.model;
  completions.prompt_tokens = count_tokens(text);
  if (completions.prompt_tokens >= kContextTokens) {
    return error_reply({.message = "the messages have " +
                                   std::to_string(completions.prompt_tokens) +
                                   " tokens, the context holds " + std::to_string(kContextTokens),
                        .param = "messages",
                        .code = "context_length_exceeded"});
  }
  Prompt prompt = read_prompt(request.messages);
  prompt.request.boldness = model->boldness;
  const Rng rng = generator_for(request, prompt, text, requests_);
  for (int i = 0; i < request.n; ++i) {
    completions.choices.push_back(make_choice(request, prompt,
                                              rng.split(static_cast<std::uint64_t>(i)),
                                              kContextTokens - completions.prompt_tokens));
  }
  const std::string identity = text + std::to_string(requests_) + std::to_string(http.now);
  completions.id = "chatcmpl-" + sha256_hex(identity).substr(0, 24);
  if (fault) spoil(completions, fault->kind);
  HttpReply reply;
  if (request.is_stream) {
    reply.content_type = "text/event-stream";
    reply.is_streamed = true;
    reply.pieces = completion_events(completions, request.includes_usage);
  } else {
    reply.pieces.push_back(completion_body(completions));
  }
  if (fault) disturb(reply, fault->kind);
  return reply;
}

}  // namespace cambrian::codemodel
