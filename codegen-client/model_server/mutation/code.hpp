#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/model_server/mutation/lexer.hpp"
#include "common/base/result.hpp"
#include "common/source/evolve_block.hpp"

namespace cambrian::codemodel {

/// Tokens [begin, end).
struct TokenRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool empty() const { return begin >= end; }
};

/// A call, construction or declaration with arguments: `torch::nn::Linear(784, 64)`,
/// `torch::nn::Linear first{784, 64}` or `nn.Linear(784, 64)`.
struct Call {
  std::size_t name = 0;   ///< Last identifier of the callee: the token `Linear`.
  std::size_t begin = 0;  ///< First token of the qualified callee: `torch` or `nn`.
  std::size_t open = 0;   ///< The opening bracket.
  std::size_t close = 0;  ///< The closing bracket.
  std::vector<TokenRange> arguments;
};

/// A function with a body inside the program.
struct Function {
  std::size_t name = 0;   ///< Its name.
  std::string owner;      ///< The class around it; empty for none.
  std::size_t open = 0;   ///< Opening bracket of the parameters.
  std::size_t close = 0;  ///< Closing bracket of the parameters.
  TokenRange body;        ///< Tokens of the body, without the braces in C++.
  std::size_t begin = 0;  ///< First byte of the whole definition.
  std::size_t end = 0;    ///< Byte behind it.
};

/// Replaces the bytes [begin, end) by a text; begin == end inserts.
struct Edit {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text;
};

/// A program text, read just deeply enough to change it sensibly: tokens, brackets, calls,
/// functions and statements, but no types. Value type; views point into it.
class Code {
 public:
  /// Errors: invalid_argument for broken EVOLVE-BLOCK marks or more than kTokensMax tokens.
  static Result<Code> parse(std::string text, Language language);

  static constexpr std::size_t kTokensMax = 200'000;

  const std::string& text() const { return text_; }
  Language language() const { return language_; }
  bool is_python() const { return language_ == Language::python; }
  const std::vector<Token>& tokens() const { return tokens_; }
  std::size_t size() const { return tokens_.size(); }
  const Token& token(std::size_t i) const { return tokens_[i]; }

  /// Text of a token; empty behind the end.
  std::string_view at(std::size_t i) const;
  bool is(std::size_t i, std::string_view text) const { return at(i) == text; }
  bool is_identifier(std::size_t i) const;
  bool is_number(std::size_t i) const;
  /// The text from the first to the last token of a range, as it stands.
  std::string text_of(TokenRange range) const;
  /// True when the whole range of bytes lies in one evolvable block.
  bool is_editable(std::size_t begin_byte, std::size_t end_byte) const;
  bool is_editable(TokenRange range) const;
  bool contains(std::string_view identifier) const;

  /// Every call in evolvable text whose last name is one of these; all calls for an empty list.
  std::vector<Call> calls(std::initializer_list<std::string_view> names) const;
  std::vector<Call> calls(const std::vector<std::string_view>& names) const;
  /// The call that begins with this identifier and has these brackets, where there is one.
  std::optional<Call> call_at(std::size_t name) const;
  /// Splits what is between two brackets at commas of its own level.
  std::vector<TokenRange> split(std::size_t open, std::size_t close) const;

  /// Every function with a body; nested ones too, outermost first.
  const std::vector<Function>& functions() const { return functions_; }
  /// The innermost function around a token.
  const Function* function_around(std::size_t token) const;

  /// The statement around a token, its `;` included in C++. In Python the logical line.
  TokenRange statement(std::size_t token) const;
  /// Braces of a block of statements or members, in contrast to an initialiser list.
  bool is_block(std::size_t brace) const;

  /// Start of the line of this byte, and the byte behind its line feed.
  std::size_t line_begin(std::size_t byte) const;
  std::size_t line_end(std::size_t byte) const;
  /// The blanks at the beginning of the line of this byte.
  std::string indentation(std::size_t byte) const;

  /// The text with edits carried out. Errors: invalid_argument when edits overlap or leave the
  /// evolvable blocks.
  Result<std::string> apply(std::vector<Edit> edits) const;

 private:
  void find_functions();
  void find_cpp_function(std::size_t brace);
  void find_python_function(std::size_t def);
  std::string owner_of(std::size_t token) const;

  std::string text_;
  Language language_ = Language::other;
  std::vector<Token> tokens_;
  std::vector<source::EvolveBlock> blocks_;
  std::vector<Function> functions_;
};

}  // namespace cambrian::codemodel
