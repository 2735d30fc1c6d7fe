#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "codegen-client/domain/chat.hpp"

/// Counting tokens without a tokenizer, and what they cost. Pure; any thread.
namespace cambrian::codegen {

/// Tokens of a text, about: words by their length, numbers by their digits, punctuation, runs of
/// white space. Measured on 38 files of source and prose against cl100k_base and o200k_base: true
/// counts are 0.89 to 1.14 times the estimate.
std::int64_t estimate_tokens(std::string_view text);
std::int64_t estimate_tokens(const std::vector<Message>& messages);
/// Tokens of thoughts, of which only the bytes are known.
std::int64_t estimate_thought_tokens(std::size_t bytes);

/// False when the server counted so few prompt tokens that it must have cut the prompt: some do so
/// silently (Ollama, with its default context). A few tokens of difference are no sign: estimates
/// of short prompts are rough. A count of nothing says that the server does not count.
bool is_prompt_complete(std::int64_t estimate, std::int64_t counted);

/// In US dollars for a million tokens.
struct Prices {
  double prompt_usd_per_million = 0;
  double completion_usd_per_million = 0;
  std::optional<double> cached_prompt_usd_per_million{};  ///< Absent: as other prompt tokens.
};

/// In millionths of a US dollar, rounded up: dollars per million tokens are micro-dollars per
/// token.
std::int64_t cost_micro_usd(const TokenUsage& usage, const Prices& prices);

}  // namespace cambrian::codegen
