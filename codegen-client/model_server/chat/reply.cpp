#include "codegen-client/model_server/chat/reply.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "codegen-client/model_server/chat/tokens.hpp"

namespace cambrian::codemodel {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kFingerprint = "cambrian-codemodel-1";
/// Tokens in one event of a stream: enough events to be a real stream, few enough to be quick.
constexpr std::size_t kTokensPerEvent = 16;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json usage_of(const Completions& completions) {
  std::size_t answered = 0;
  for (const Choice& choice : completions.choices) answered += choice.tokens;
  return {{"prompt_tokens", completions.prompt_tokens},
          {"completion_tokens", answered},
          {"total_tokens", completions.prompt_tokens + answered},
          {"prompt_tokens_details", {{"cached_tokens", 0}, {"audio_tokens", 0}}},
          {"completion_tokens_details",
           {{"reasoning_tokens", 0},
            {"audio_tokens", 0},
            {"accepted_prediction_tokens", 0},
            {"rejected_prediction_tokens", 0}}}};
}

Json header_of(const Completions& completions, std::string_view object) {
  return {{"id", completions.id},
          {"object", object},
          {"created", completions.created},
          {"model", completions.model},
          {"system_fingerprint", kFingerprint}};
}

std::string event(const Json& json) { return "data: " + dump(json) + "\n\n"; }

class EventWriter {
 public:
  EventWriter(const Completions& completions, bool includes_usage)
      : completions_(completions), includes_usage_(includes_usage) {}

  std::vector<std::string> run() {
    for (std::size_t i = 0; i < completions_.choices.size(); ++i) write_choice(i);
    if (includes_usage_ && completions_.has_usage) {
      Json last = header_of(completions_, "chat.completion.chunk");
      last["choices"] = Json::array();
      last["usage"] = usage_of(completions_);
      events_.push_back(event(last));
    }
    events_.emplace_back("data: [DONE]\n\n");
    return std::move(events_);
  }

 private:
  void write_choice(std::size_t index) {
    const Choice& choice = completions_.choices[index];
    Json first{{"role", "assistant"}, {"refusal", nullptr}};
    first["content"] = choice.is_null ? Json() : Json("");
    write(index, std::move(first), Json());
    if (!choice.reasoning.empty()) {
      write(index, {{"reasoning_content", choice.reasoning}}, Json());
    }
    const auto tokens = split_tokens(choice.content);
    for (std::size_t from = 0; from < tokens.size(); from += kTokensPerEvent) {
      std::string text;
      for (std::size_t i = from; i < std::min(from + kTokensPerEvent, tokens.size()); ++i) {
        text += tokens[i];
      }
      write(index, {{"content", text}}, Json());
    }
    write(index, Json::object(), choice.finish_reason);
  }

  void write(std::size_t index, Json delta, Json finish_reason) {
    Json chunk = header_of(completions_, "chat.completion.chunk");
    chunk["choices"] = Json::array({{{"index", index},
                                     {"delta", std::move(delta)},
                                     {"logprobs", nullptr},
                                     {"finish_reason", std::move(finish_reason)}}});
    if (includes_usage_) chunk["usage"] = nullptr;
    events_.push_back(event(chunk));
  }

  const Completions& completions_;
  bool includes_usage_;
  std::vector<std::string> events_;
};

}  // namespace

std::string completion_body(const Completions& completions) {
  Json body = header_of(completions, "chat.completion");
  body["choices"] = Json::array();
  for (std::size_t i = 0; i < completions.choices.size(); ++i) {
    const Choice& choice = completions.choices[i];
    Json message{{"role", "assistant"}, {"refusal", nullptr}};
    message["content"] = choice.is_null ? Json() : Json(choice.content);
    if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
    body["choices"].push_back({{"index", i},
                               {"message", std::move(message)},
                               {"logprobs", nullptr},
                               {"finish_reason", choice.finish_reason}});
  }
  if (completions.has_usage) body["usage"] = usage_of(completions);
  return dump(body);
}

std::vector<std::string> completion_events(const Completions& completions, bool includes_usage) {
  return EventWriter(completions, includes_usage).run();
}

}  // namespace cambrian::codemodel
