#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen-client/adapters/openai/openai_model.hpp"
#include "codegen-client/ports/chat_model.hpp"

namespace cambrian::codegen::openai {

/// Asks an endpoint about itself: when it is told to, and again at the first answer after the
/// endpoint was away, for it may have been loading, or serve another model since. What it says is
/// only logged, but for its context. Any thread.
class ProbedModel : public ChatModel {
 public:
  /// `endpoint` and `models` are its name and its models in the configuration.
  ProbedModel(std::unique_ptr<OpenAiModel> model, std::string endpoint,
              std::vector<std::string> models);

  /// Blocks up to OpenAiModel::kProbeTimeout for each question.
  void probe(std::stop_token stop);

  Sending send(const ChatRequest& request, std::stop_token stop) override;
  std::optional<std::int64_t> context_tokens() const override;

 private:
  void log_findings(const Probe& probe) const;

  const std::unique_ptr<OpenAiModel> model_;
  const std::string endpoint_;
  const std::vector<std::string> models_;
  std::atomic<bool> is_away_ = false;
  std::atomic<std::int64_t> context_tokens_ = 0;  ///< 0: not known.
};

}  // namespace cambrian::codegen::openai
