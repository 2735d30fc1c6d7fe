#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/adapters/openai/http_client.hpp"
#include "codegen-client/adapters/openai/reply.hpp"
#include "codegen-client/adapters/openai/request_body.hpp"
#include "codegen-client/ports/chat_model.hpp"
#include "common/base/secret.hpp"

namespace cambrian::codegen::openai {

struct ModelOptions {
  std::string base_url{};  ///< With the version: http://127.0.0.1:8000/v1.
  std::string token_limit_field = "max_tokens";
  bool stream = false;
  std::string extra_body{};  ///< Checked by check_extra_body before.
  std::chrono::milliseconds timeout_total{600'000};
  std::chrono::milliseconds timeout_idle{60'000};  ///< Only when streamed.
};

/// What an endpoint says about itself.
struct Probe {
  /// Absent: the server cannot tell (404), which is no fault.
  std::optional<std::vector<std::string>> models{};
  /// The smallest context that it names for a model, in tokens.
  std::optional<std::int64_t> context_tokens{};
  std::optional<CallFailure> failure{};
};

/// True where one of these names is that of the model. Ollama lists `name:latest` and takes `name`.
bool lists(const std::vector<std::string>& models, const std::string& name);

/// A model behind POST {base_url}/chat/completions. Any thread.
class OpenAiModel : public ChatModel {
 public:
  static constexpr std::chrono::seconds kProbeTimeout{10};
  /// Longest reply that is not streamed, and longest answer, in bytes.
  static constexpr std::size_t kReplyBytesMax = StreamedReply::kBytesMax;
  /// Every token of a stream comes in an event of its own, with names and numbers around it.
  static constexpr std::size_t kStreamBytesPerToken = 1024;
  static constexpr std::size_t kStreamBytesMax = std::size_t{256} << 20;

  OpenAiModel(ModelOptions options, Secret key);

  /// A refusal of an optional field changes what is sent from then on, and the request is sent
  /// again at once: at most once for each such field.
  Sending send(const ChatRequest& request, std::stop_token stop) override;

  /// GET {base_url}/models, and /props where that is llama-server's. Blocks up to kProbeTimeout for
  /// each.
  Probe probe(std::stop_token stop);

  /// What the endpoint understands of requests to this model.
  Capabilities capabilities(const std::string& model) const;
  std::string url() const { return loggable_url(options_.base_url); }

 private:
  Sending send_body(const std::string& body, std::int64_t output_tokens, std::stop_token stop);
  /// Takes the key out of all texts: servers quote what they were sent.
  void redact(Sending& sending) const;
  HttpReply get(const std::string& url, std::string& body, std::stop_token stop);
  void probe_context(std::stop_token stop, Probe& probe);
  bool try_adapt(const std::string& model, const Capabilities& used, const Sending& sending);

  const ModelOptions options_;
  HttpClient http_;
  mutable std::mutex mutex_;  // Guards capabilities_.
  /// By model, of those that are not what is configured: one endpoint may serve old and new ones.
  std::map<std::string, Capabilities> capabilities_;
};

}  // namespace cambrian::codegen::openai
