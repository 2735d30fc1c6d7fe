#include "codegen-client/adapters/openai/openai_model.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "codegen-client/adapters/openai/reply.hpp"
#include "codegen-client/domain/retry.hpp"
#include "codegen-client/domain/sse.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/log/log.hpp"

namespace cambrian::codegen::openai {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kAdaptationsMax = 4;
// Shorter keys are often words that stand for none ("EMPTY", "none"): an answer may have them.
constexpr std::size_t kContentKeyBytesMin = 16;

std::chrono::milliseconds since(SteadyClock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - start);
}

bool is_success(int status) { return status >= 200 && status < 300; }

bool has_events(const HttpReply& head) {
  const auto type = head.headers.find("content-type");
  return type != head.headers.end() && to_lower(type->second).starts_with("text/event-stream");
}

/// Takes the bytes of a reply, streamed or not.
class Receiver {
 public:
  /// The key must outlive it.
  Receiver(SteadyClock::time_point start, const Secret& key)
      : start_(start), key_(key), stream_(key) {}

  bool add(const HttpReply& head, std::string_view bytes) {
    const bool goes_on = take(head, bytes);
    if (!goes_on) latency_ = since(start_);
    return goes_on;
  }

  std::variant<ChatReply, CallFailure> finish(const HttpReply& reply) {
    if (!is_success(reply.status) && reply.status != 0) {
      return parse_error(reply.status, body_, key_);
    }
    if (too_large_) return std::move(*too_large_);
    if (!is_streamed_) {
      if (reply.failure) return *reply.failure;
      return parse_reply(body_, key_);
    }
    // What a failure cut off is half an event.
    if (!is_finished_ && !reply.failure) take_events(parser_.finish());
    const std::int64_t received = stream_.received_tokens();
    auto outcome = std::move(stream_).finish();
    auto* failure = std::get_if<CallFailure>(&outcome);
    if (failure == nullptr) return outcome;
    // An error that the stream named says more than that it broke off.
    if (failure->kind == FailureKind::cut && reply.failure) *failure = *reply.failure;
    failure->completion_tokens = received;
    return outcome;
  }

  std::optional<std::chrono::milliseconds> time_to_first_token() const { return first_token_; }
  /// Up to the last byte that mattered.
  std::chrono::milliseconds latency() const { return latency_.value_or(since(start_)); }
  bool is_streamed() const { return is_streamed_; }

 private:
  bool take(const HttpReply& head, std::string_view bytes) {
    if (is_success(head.status) && has_events(head)) {
      is_streamed_ = true;
      return take_events(parser_.feed(bytes));
    }
    body_ += bytes.substr(0, OpenAiModel::kReplyBytesMax + 1 - body_.size());
    if (body_.size() <= OpenAiModel::kReplyBytesMax) return true;
    too_large_ = CallFailure{.kind = FailureKind::too_large,
                             .message = "the reply is longer than " +
                                        std::to_string(OpenAiModel::kReplyBytesMax) + " bytes"};
    return false;
  }

  bool take_events(Result<std::vector<std::string>> events) {
    if (!events) {
      too_large_ = CallFailure{.kind = FailureKind::too_large, .message = events.error().message};
      return false;
    }
    for (const std::string& data : *events) {
      is_finished_ = !stream_.add(data);
      if (stream_.has_begun() && !first_token_) first_token_ = since(start_);
      if (is_finished_) return false;
    }
    return true;
  }

  SteadyClock::time_point start_;
  const Secret& key_;
  std::string body_;
  SseParser parser_;
  StreamedReply stream_;
  std::optional<CallFailure> too_large_;
  std::optional<std::chrono::milliseconds> first_token_;
  std::optional<std::chrono::milliseconds> latency_;
  bool is_streamed_ = false;
  bool is_finished_ = false;
};

void lower_context(std::int64_t tokens, Probe& probe) {
  if (tokens > 0) probe.context_tokens = std::min(probe.context_tokens.value_or(tokens), tokens);
}

/// The names, and the smallest context that vLLM (max_model_len) names. True for llama-server.
bool read_models(const nlohmann::json& reply, const Secret& key, Probe& probe) {
  bool is_llama_server = false;
  const auto data = reply.is_object() ? reply.find("data") : reply.end();
  if (data == reply.end() || !data->is_array()) return false;
  probe.models.emplace();
  for (const auto& model : *data) {
    if (!model.is_object()) continue;
    if (const auto id = model.find("id"); id != model.end() && id->is_string()) {
      probe.models->push_back(to_one_line(key.redact(id->get<std::string>()), 256));
    }
    const auto owner = model.find("owned_by");
    is_llama_server = is_llama_server || (owner != model.end() && *owner == "llamacpp");
    const auto length = model.find("max_model_len");
    if (length == model.end() || !length->is_number_integer()) continue;
    lower_context(length->get<std::int64_t>(), probe);
  }
  return is_llama_server;
}

/// The context of llama-server: `default_generation_settings.n_ctx` of GET /props.
void read_properties(const nlohmann::json& reply, Probe& probe) {
  const nlohmann::json::json_pointer pointer("/default_generation_settings/n_ctx");
  if (!reply.contains(pointer) || !reply[pointer].is_number_integer()) return;
  lower_context(reply[pointer].get<std::int64_t>(), probe);
}

/// The server's name for a request: what a provider's support asks for first.
std::string find_request_id(const Headers& headers, const Sending& sending, const Secret& key) {
  constexpr std::size_t kIdBytes = 128;
  for (const char* name : {"x-request-id", "request-id"}) {
    const auto id = headers.find(name);
    if (id == headers.end() || id->second.empty()) continue;
    return to_one_line(key.redact(id->second), kIdBytes);
  }
  const auto* reply = std::get_if<ChatReply>(&sending.outcome);
  return reply == nullptr ? std::string() : to_one_line(reply->id, kIdBytes);
}

/// What nobody waits for here must be said: it may be an hour.
std::string with_wait(std::string message, std::optional<Milliseconds> wait) {
  constexpr std::size_t kMessageBytes = 380;
  if (!wait || *wait <= kRetryAfterMax) return message;
  return to_one_line(message, kMessageBytes) + "; the server asks to wait for " +
         std::to_string(wait->count() / 1000) + " s";
}

std::string with_request_id(std::string message, const std::string& id) {
  constexpr std::size_t kMessageBytes = 420;
  constexpr std::size_t kIdBytes = 64;
  if (id.empty()) return message;
  return to_one_line(message, kMessageBytes) + " request_id=" + to_one_line(id, kIdBytes);
}

}  // namespace

bool lists(const std::vector<std::string>& models, const std::string& name) {
  return std::any_of(models.begin(), models.end(), [&name](const std::string& model) {
    return model == name || model == name + ":latest";
  });
}

OpenAiModel::OpenAiModel(ModelOptions options, Secret key)
    : options_(std::move(options)), http_(std::move(key)) {}

Capabilities OpenAiModel::capabilities(const std::string& model) const {
  const std::lock_guard lock(mutex_);
  const auto known = capabilities_.find(model);
  return known != capabilities_.end()
             ? known->second
             : Capabilities{.token_limit_field = options_.token_limit_field};
}

Sending OpenAiModel::send(const ChatRequest& request, std::stop_token stop) {
  const BodyOptions body_options{.stream = options_.stream, .extra_body = options_.extra_body};
  Sending sending;
  for (int i = 0; i <= kAdaptationsMax; ++i) {
    const Capabilities used = capabilities(request.model);
    sending = send_body(make_body(request, used, body_options), request.output_tokens, stop);
    if (!try_adapt(request.model, used, sending)) break;
  }
  return sending;
}

Sending OpenAiModel::send_body(const std::string& body, std::int64_t output_tokens,
                               std::stop_token stop) {
  HttpRequest request{.url = options_.base_url + "/chat/completions",
                      .body = body,
                      .wants_events = options_.stream,
                      .timeout_total = options_.timeout_total};
  if (options_.stream) {
    request.timeout_idle = options_.timeout_idle;
    const auto tokens = static_cast<std::size_t>(std::max<std::int64_t>(output_tokens, 0));
    const std::size_t tokens_max = kStreamBytesMax / kStreamBytesPerToken;
    request.reply_bytes_max =
        std::max(kReplyBytesMax + 1, std::min(tokens, tokens_max) * kStreamBytesPerToken);
  } else {
    request.reply_bytes_max = kReplyBytesMax + 1;  // The receiver counts.
  }
  Receiver receiver(SteadyClock::now(), http_.key());
  const HttpReply reply = http_.perform(
      request,
      [&receiver](const HttpReply& head, std::string_view bytes) {
        return receiver.add(head, bytes);
      },
      std::move(stop));
  Sending sending{.outcome = receiver.finish(reply), .latency = receiver.latency()};
  sending.time_to_first_token = receiver.time_to_first_token();
  sending.request_id = find_request_id(reply.headers, sending, http_.key());
  sending.was_sent = reply.was_sent;
  sending.was_streamed = receiver.is_streamed();
  if (auto* failure = std::get_if<CallFailure>(&sending.outcome)) {
    const auto now = std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
    failure->retry_after = parse_retry_after(reply.headers, now);
    failure->should_retry = parse_should_retry(reply.headers);
    failure->message = with_wait(std::move(failure->message), failure->retry_after);
    failure->message = with_request_id(std::move(failure->message), sending.request_id);
  }
  redact(sending);
  return sending;
}

void OpenAiModel::redact(Sending& sending) const {
  std::vector<std::string*> texts = {&sending.request_id};
  if (auto* failure = std::get_if<CallFailure>(&sending.outcome)) {
    texts.insert(texts.end(), {&failure->message, &failure->parameter});
  } else {
    auto& reply = std::get<ChatReply>(sending.outcome);
    texts.insert(texts.end(), {&reply.model, &reply.id});
    if (http_.key().reveal().size() >= kContentKeyBytesMin) {
      texts.insert(texts.end(), {&reply.content, &reply.refusal});
    }
  }
  for (std::string* text : texts) *text = http_.key().redact(std::move(*text));
}

bool OpenAiModel::try_adapt(const std::string& model, const Capabilities& used,
                            const Sending& sending) {
  const auto* failure = std::get_if<CallFailure>(&sending.outcome);
  if (failure == nullptr) return false;
  const auto changed = adapt(used, *failure);
  if (!changed) return false;
  log::info("endpoint_adapted", {{"url", url()}, {"model", model}, {"cause", failure->message}});
  const std::lock_guard lock(mutex_);
  Capabilities& known = capabilities_.try_emplace(model, used).first->second;
  // Two calls may have learnt different things at once: both count.
  known.refused_fields.insert(changed->refused_fields.begin(), changed->refused_fields.end());
  if (changed->is_token_limit_switched) {
    known.is_token_limit_switched = true;
    known.token_limit_field = changed->token_limit_field;
  }
  return true;
}

HttpReply OpenAiModel::get(const std::string& url, std::string& body, std::stop_token stop) {
  return http_.perform(
      {.url = url, .timeout_total = kProbeTimeout},
      [&body](const HttpReply&, std::string_view bytes) {
        body += bytes;
        return true;
      },
      std::move(stop));
}

void OpenAiModel::probe_context(std::stop_token stop, Probe& probe) {
  constexpr std::string_view kVersion = "/v1";
  std::string root = options_.base_url;
  if (root.ends_with(kVersion)) root.resize(root.size() - kVersion.size());
  std::string body;
  const HttpReply reply = get(root + "/props", body, std::move(stop));
  if (reply.failure || !is_success(reply.status)) return;  // It may be switched off.
  read_properties(nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false), probe);
}

Probe OpenAiModel::probe(std::stop_token stop) {
  std::string body;
  const HttpReply reply = get(options_.base_url + "/models", body, stop);
  Probe probe;
  if (reply.failure) {
    probe.failure = reply.failure;
  } else if (is_success(reply.status)) {
    const auto models = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (read_models(models, http_.key(), probe)) probe_context(std::move(stop), probe);
  } else if (reply.status != 404 && reply.status != 405 && reply.status != 501) {
    probe.failure = parse_error(reply.status, body, http_.key());
  }
  if (probe.failure) probe.failure->message = http_.key().redact(probe.failure->message);
  return probe;
}

}  // namespace cambrian::codegen::openai
