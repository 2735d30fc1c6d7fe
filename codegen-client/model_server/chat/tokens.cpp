#include "codegen-client/model_server/chat/tokens.hpp"

#include <algorithm>

namespace cambrian::codemodel {
namespace {

constexpr std::size_t kWordBytesMax = 8;
constexpr std::size_t kDigitsMax = 3;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

template <class Wanted>
std::size_t run_length(std::string_view text, std::size_t from, std::size_t longest,
                       Wanted wanted) {
  std::size_t length = 0;
  while (length < longest && from + length < text.size() && wanted(text[from + length])) ++length;
  return length;
}

std::size_t token_length(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  const char first = text[0];
  if (first == '\n') return 1 + run_length(text, 1, text.size(), is_blank);
  if (is_blank(first)) {
    const std::size_t blanks = run_length(text, 0, text.size(), is_blank);
    if (blanks > 1) return blanks - 1;
    return 1 + run_length(text, 1, kWordBytesMax, is_letter);
  }
  if (is_letter(first)) return run_length(text, 0, kWordBytesMax, is_letter);
  if (is_digit(first)) return run_length(text, 0, kDigitsMax, is_digit);
  return 1 + run_length(text, 1, 3, is_continuation);
}

}  // namespace

std::vector<std::string_view> split_tokens(std::string_view text) {
  std::vector<std::string_view> tokens;
  while (!text.empty()) {
    const std::size_t length = token_length(text);
    tokens.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return tokens;
}

std::size_t count_tokens(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(token_length(text));
  return count;
}

Completion limit_completion(std::string_view text, const std::vector<std::string>& stops,
                            std::size_t tokens_max) {
  std::size_t end = text.size();
  for (const std::string& stop : stops) {
    if (!stop.empty()) end = std::min(end, text.find(stop));
  }
  text = text.substr(0, end);
  const auto tokens = split_tokens(text);
  if (tokens_max == 0 || tokens.size() <= tokens_max) {
    return {.text = std::string(text), .is_truncated = false, .tokens = tokens.size()};
  }
  Completion cut{.text = {}, .is_truncated = true, .tokens = tokens_max};
  for (std::size_t i = 0; i < tokens_max; ++i) cut.text += tokens[i];
  return cut;
}

}  // namespace cambrian::codemodel
