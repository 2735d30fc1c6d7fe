#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "common/source/language.hpp"

namespace cambrian::codemodel {

using source::Language;

inline constexpr std::size_t kNone = static_cast<std::size_t>(-1);

enum class TokenKind {
  identifier,
  number,
  string,       ///< Strings and characters of every kind, quotes included.
  punctuation,  ///< The longest operator that fits: `::`, `->`, `+=`.
  directive,    ///< A whole C++ preprocessor line.
};

/// A piece of the program; white space and comments are not tokens.
struct Token {
  TokenKind kind = TokenKind::punctuation;
  std::size_t begin = 0;  ///< First byte.
  std::size_t end = 0;    ///< Byte behind the last one.
  /// Index of the bracket that closes or opens this one; kNone for everything else.
  std::size_t partner = kNone;
  /// Index of the innermost bracket that is open here; kNone at the top.
  std::size_t parent = kNone;
};

/// The tokens of a C++ or Python text with their brackets matched. Never fails: what is not
/// closed keeps `partner == kNone`, literals end with their line. Linear time.
std::vector<Token> tokenize(std::string_view text, Language language);

}  // namespace cambrian::codemodel
