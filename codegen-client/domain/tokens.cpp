#include "codegen-client/domain/tokens.hpp"

#include <algorithm>
#include <cmath>

namespace cambrian::codegen {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

template <class Predicate>
std::size_t run_length(std::string_view text, std::size_t i, Predicate predicate) {
  std::size_t length = 0;
  while (i + length < text.size() && predicate(text[i + length])) ++length;
  return length;
}

constexpr std::size_t kLettersPerToken = 8;
constexpr std::size_t kDigitsPerToken = 3;
constexpr std::size_t kBlanksPerToken = 16;
// Neighbouring punctuation is often one symbol: "());" or "::".
constexpr double kTokensPerPunctuation = 0.55;
// Role and separators of a message in the usual chat templates.
constexpr std::int64_t kTokensPerMessage = 4;
// By which an estimate may miss even where a share says nothing: templates, roles, a rare word.
constexpr std::int64_t kCountedTokensSlack = 32;
constexpr double kCountedShareMin = 0.7;

}  // namespace

std::int64_t estimate_tokens(std::string_view text) {
  double tokens = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    std::size_t length = 1;
    if (is_letter(c)) {
      length = run_length(text, i, is_letter);
      tokens += static_cast<double>((length + kLettersPerToken - 1) / kLettersPerToken);
    } else if (is_digit(c)) {
      length = run_length(text, i, is_digit);
      tokens += static_cast<double>((length + kDigitsPerToken - 1) / kDigitsPerToken);
    } else if (is_space(c)) {
      length = run_length(text, i, is_space);
      // A single blank belongs to the word behind it.
      if (length > 1 || c != ' ') {
        tokens += static_cast<double>((length + kBlanksPerToken - 1) / kBlanksPerToken);
      }
    } else {
      tokens += kTokensPerPunctuation;
    }
    i += length;
  }
  return static_cast<std::int64_t>(std::ceil(tokens));
}

std::int64_t estimate_tokens(const std::vector<Message>& messages) {
  std::int64_t sum = 0;
  for (const Message& message : messages) {
    sum += estimate_tokens(message.content) + kTokensPerMessage;
  }
  return sum;
}

std::int64_t estimate_thought_tokens(std::size_t bytes) {
  constexpr std::size_t kBytesPerToken = 4;
  return static_cast<std::int64_t>((bytes + kBytesPerToken - 1) / kBytesPerToken);
}

bool is_prompt_complete(std::int64_t estimate, std::int64_t counted) {
  if (counted <= 0) return true;
  return static_cast<double>(counted + kCountedTokensSlack) >=
         kCountedShareMin * static_cast<double>(estimate);
}

std::int64_t cost_micro_usd(const TokenUsage& usage, const Prices& prices) {
  const double cached_price =
      prices.cached_prompt_usd_per_million.value_or(prices.prompt_usd_per_million);
  const std::int64_t cached = std::min(usage.cached_prompt_tokens, usage.prompt_tokens);
  const double cost =
      static_cast<double>(usage.prompt_tokens - cached) * prices.prompt_usd_per_million +
      static_cast<double>(cached) * cached_price +
      static_cast<double>(usage.completion_tokens) * prices.completion_usd_per_million;
  return static_cast<std::int64_t>(std::ceil(cost - 1e-9));
}

}  // namespace cambrian::codegen
