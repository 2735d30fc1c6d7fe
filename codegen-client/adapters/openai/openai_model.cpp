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
// Enough to say what went wrong; a proxy may send a whole page.
constexpr std::size_t kErrorBodyBytesMax = std::size_t{64} << 10;

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
  explicit Receiver(SteadyClock::time_point start) : start_(start) {}

  bool add(const HttpReply& head, std::string_view bytes) {
    if (!is_success(head.status)) {
      const std::size_t room = kErrorBodyBytesMax - std::min(kErrorBodyBytesMax, body_.size());
      body_ += bytes.substr(0, room);
      return true;
    }
    if (!has_events(head)) {
      body_ += bytes;
      return true;
    }
    is_streamed_ = true;
    return take_events(parser_.feed(bytes));
  }

  std::variant<ChatReply, CallFailure> finish(const HttpReply& reply) {
    if (!is_success(reply.status) && reply.status != 0) return parse_error(reply.status, body_);
    if (too_large_) return std::move(*too_large_);
    if (!is_streamed_) {
      if (reply.failure) return *reply.failure;
      return parse_reply(body_);
    }
    if (!is_finished_) take_events(parser_.finish());
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

 private:
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
  std::string body_;
  SseParser parser_;
  StreamedReply stream_;
  std::optional<CallFailure> too_large_;
  std::optional<std::chrono::milliseconds> first_token_;
  bool is_streamed_ = false;
  bool is_finished_ = false;
};

void lower_context(std::int64_t tokens, Probe& probe) {
  if (tokens > 0) probe.context_tokens = std::min(probe.context_tokens.value_or(tokens), tokens);
}

/// The names, and the smallest context that vLLM (max_model_len) names. True for llama-server.
bool read_models(const nlohmann::json& reply, Probe& probe) {
  bool is_llama_server = false;
  const auto data = reply.is_object() ? reply.find("data") : reply.end();
  if (data == reply.end() || !data->is_array()) return false;
  probe.models.emplace();
  for (const auto& model : *data) {
    if (!model.is_object()) continue;
    if (const auto id = model.find("id"); id != model.end() && id->is_string()) {
      probe.models->push_back(to_one_line(id->get<std::string>(), 256));
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
std::string find_request_id(const Headers& headers, const Sending& sending) {
  constexpr std::size_t kIdBytes = 128;
  for (const char* name : {"x-request-id", "request-id"}) {
    const auto id = headers.find(name);
    if (id != headers.end() && !id->second.empty()) return to_one_line(id->second, kIdBytes);
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

OpenAiModel::OpenAiModel(ModelOptions options, Secret key)
    : options_(std::move(options)), http_(std::move(key)) {
  capabilities_.token_limit_field = options_.token_limit_field;
}

Capabilities OpenAiModel::capabilities() const {
  const std::lock_guard lock(mutex_);
  return capabilities_;
}

Sending OpenAiModel::send(const ChatRequest& request, std::stop_token stop) {
  const BodyOptions body_options{.stream = options_.stream, .extra_body = options_.extra_body};
  Sending sending;
  for (int i = 0; i <= kAdaptationsMax; ++i) {
    const Capabilities used = capabilities();
    sending = send_body(make_body(request, used, body_options), stop);
    if (!try_adapt(used, sending)) break;
  }
  return sending;
}

Sending OpenAiModel::send_body(const std::string& body, std::stop_token stop) {
  HttpRequest request{.url = options_.base_url + "/chat/completions",
                      .body = body,
                      .wants_events = options_.stream,
                      .timeout_total = options_.timeout_total};
  if (options_.stream) request.timeout_idle = options_.timeout_idle;
  const auto start = SteadyClock::now();
  Receiver receiver(start);
  const HttpReply reply = http_.perform(
      request,
      [&receiver](const HttpReply& head, std::string_view bytes) {
        return receiver.add(head, bytes);
      },
      std::move(stop));
  Sending sending{.outcome = receiver.finish(reply), .latency = since(start)};
  sending.time_to_first_token = receiver.time_to_first_token();
  sending.request_id = find_request_id(reply.headers, sending);
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
    texts.insert(texts.end(), {&reply.content, &reply.refusal, &reply.model, &reply.id});
  }
  for (std::string* text : texts) *text = http_.key().redact(std::move(*text));
}

bool OpenAiModel::try_adapt(const Capabilities& used, const Sending& sending) {
  const auto* failure = std::get_if<CallFailure>(&sending.outcome);
  if (failure == nullptr) return false;
  const auto changed = adapt(used, *failure);
  if (!changed) return false;
  log::info("endpoint_adapted", {{"url", url()}, {"cause", failure->message}});
  const std::lock_guard lock(mutex_);
  // Two calls may have learnt different things at once: both count.
  capabilities_.refused_fields.insert(changed->refused_fields.begin(),
                                      changed->refused_fields.end());
  if (changed->is_token_limit_switched) {
    capabilities_.is_token_limit_switched = true;
    capabilities_.token_limit_field = changed->token_limit_field;
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
    if (read_models(models, probe)) probe_context(std::move(stop), probe);
  } else if (reply.status != 404 && reply.status != 405 && reply.status != 501) {
    probe.failure = parse_error(reply.status, body);
  }
  if (probe.failure) probe.failure->message = http_.key().redact(probe.failure->message);
  return probe;
}

}  // namespace cambrian::codegen::openai
