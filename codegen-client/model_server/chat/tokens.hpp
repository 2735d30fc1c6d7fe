#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cambrian::codemodel {

/// Cuts a text into tokens: a word of at most 8 letters with the blank before it, up to three
/// digits, a run of blanks, a line feed with its indentation, or one sign. Concatenated they are
/// the text again; a UTF-8 sequence is never cut.
std::vector<std::string_view> split_tokens(std::string_view text);

std::size_t count_tokens(std::string_view text);

/// What is left of an answer after stop words and the token limit.
struct Completion {
  std::string text;
  bool is_truncated = false;  ///< The limit cut it: finish_reason `length`.
  std::size_t tokens = 0;
};

/// Ends at the first stop word, which is left out, or after `tokens_max` tokens (0: no limit),
/// whichever comes first.
Completion limit_completion(std::string_view text, const std::vector<std::string>& stops,
                            std::size_t tokens_max);

}  // namespace cambrian::codemodel
