#include "codegen-client/adapters/openai/probed_model.hpp"

#include <utility>

#include "common/log/log.hpp"

namespace cambrian::codegen::openai {
namespace {

/// True for failures after which another server may be there: none answers, or one that loads.
bool is_away(const CallFailure& failure) {
  constexpr int kUnavailable = 503;
  return failure.kind == FailureKind::connect || failure.status == kUnavailable;
}

}  // namespace

ProbedModel::ProbedModel(std::unique_ptr<OpenAiModel> model, std::string endpoint,
                         std::vector<std::string> models)
    : model_(std::move(model)), endpoint_(std::move(endpoint)), models_(std::move(models)) {}

void ProbedModel::probe(std::stop_token stop) {
  const Probe probe = model_->probe(std::move(stop));
  if (probe.failure) {
    is_away_ = true;
    log::error("endpoint_unreachable",
               {{"endpoint", endpoint_},
                {"url", model_->url()},
                {"cause", probe.failure->message},
                {"next", "check that the server runs, base_url and the key; proposals wait"}});
    return;
  }
  context_tokens_ = probe.context_tokens.value_or(0);
  log_findings(probe);
}

void ProbedModel::log_findings(const Probe& probe) const {
  log::info("endpoint_probed", {{"endpoint", endpoint_},
                                {"url", model_->url()},
                                {"lists_models", probe.models.has_value()},
                                {"context_tokens", probe.context_tokens.value_or(0)}});
  if (!probe.models) return;
  for (const std::string& name : models_) {
    if (lists(*probe.models, name)) continue;
    log::warn(
        "model_not_listed",
        {{"endpoint", endpoint_}, {"model", name}, {"next", "check the name against GET /models"}});
  }
}

Sending ProbedModel::send(const ChatRequest& request, std::stop_token stop) {
  Sending sending = model_->send(request, stop);
  if (const auto* failure = std::get_if<CallFailure>(&sending.outcome)) {
    if (is_away(*failure)) is_away_ = true;
  } else if (is_away_.exchange(false)) {
    probe(std::move(stop));
    is_away_ = false;  // It answers; that it does not tell its models is no reason to ask again.
  }
  return sending;
}

std::optional<std::int64_t> ProbedModel::context_tokens() const {
  const std::int64_t tokens = context_tokens_;
  return tokens > 0 ? std::optional(tokens) : std::nullopt;
}

}  // namespace cambrian::codegen::openai
