#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/domain/chat.hpp"
#include "codegen-client/domain/program.hpp"
#include "common/base/result.hpp"

/// Putting a request into words. docs/prompt-format.md is the reference. Pure and deterministic;
/// any thread.
namespace cambrian::codegen {

inline constexpr std::size_t kDiagnosticsBytesMax = 4096;  ///< Of one failure in a prompt.
inline constexpr std::size_t kChangeBytesMax = 4096;       ///< Of one failure in a prompt.
/// Description; instructions with a hint behind them; an order.
inline constexpr std::size_t kProseBytesMax = 20'490;
inline constexpr std::size_t kGainBytesMax = 400;  ///< What was said of one gain.

struct PromptInput {
  Task task{};
  Operator operation = Operator::diff;
  std::vector<Program> parents{};  ///< One, or two for a crossover.
  std::vector<Program> inspirations{};
  std::vector<Program> failures{};
  std::string instructions{};
  std::vector<Gain> gains{};  ///< The last one last.
  std::string order{};        ///< Instead of our words for the operator; empty: these.
};

/// A prompt but for its variation seed: that comes last, so that servers can reuse the rest.
struct Prompt {
  std::string system{};
  std::string user{};
  std::int64_t tokens = 0;  ///< Estimate.
};

/// Builds the prompt. What helped, inspirations and then failures are left out, the last first,
/// until it has at most `tokens_max` tokens by estimate. Errors: invalid_argument without a parent;
/// exhausted when task and parents alone are too long.
Result<Prompt> build_prompt(const PromptInput& input, std::int64_t tokens_max);

/// The messages of one request.
std::vector<Message> first_messages(const Prompt& prompt, std::int64_t variation_seed);

/// The messages of the follow-up of an answer of which no edit could be applied.
std::vector<Message> follow_up_messages(std::vector<Message> messages, std::string answer,
                                        std::string_view reason, std::int64_t variation_seed);

}  // namespace cambrian::codegen
