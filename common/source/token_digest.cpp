#include "common/source/token_digest.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "common/digest/sha256.hpp"
#include "common/source/characters.hpp"

namespace cambrian::source {
namespace {

// Stand-ins for layout that carries meaning. No token of a source begins with these bytes.
constexpr std::string_view kLineEnd = "\x01newline";
constexpr std::string_view kIndent = "\x01indent";
constexpr std::string_view kDedent =
    "\x01"
    "dedent";
constexpr std::string_view kSpace = "\x01space";

constexpr int kTabWidth = 8;

// Longest first within each first character: `a + +b` and `a ++ b` are different programs.
constexpr std::array<std::string_view, 33> kCppPunctuators = {
    "%:%:", "<=>", "<<=", ">>=", "->*", "...", "::", "->", "++", "--", "<<",
    ">>",   "<=",  ">=",  "==",  "!=",  "&&",  "||", "+=", "-=", "*=", "/=",
    "%=",   "&=",  "|=",  "^=",  "##",  ".*",  "<:", ":>", "<%", "%>", "%:"};
constexpr std::array<std::string_view, 24> kPythonPunctuators = {
    "**=", "//=", "<<=", ">>=", "...", "**", "//", "<<", ">>", "<=", ">=", "==",
    "!=",  "->",  ":=",  "+=",  "-=",  "*=", "/=", "%=", "&=", "|=", "^=", "@="};

/// Hashes tokens as they come; a zero byte behind each keeps "ab","c" and "a","bc" apart.
class TokenSink {
 public:
  void add(std::string_view token) {
    sha_.update(token);
    sha_.update(std::string_view("\0", 1));
    ++count_;
  }
  TokenDigest finish() { return {.digest = sha_.finish_hex(), .count = count_}; }

 private:
  Sha256 sha_;
  std::int64_t count_ = 0;
};

class Lexer {
 public:
  Lexer(std::string_view text, TokenSink& sink) : text_(text), sink_(sink) {}

 protected:
  bool at_end() const { return position_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  bool starts_with(std::string_view prefix) const {
    return text_.substr(position_).starts_with(prefix);
  }
  void skip_newline() { position_ += starts_with("\r\n") ? 2 : 1; }
  bool skip_splice() {
    if (peek() != '\\' || !is_newline(peek(1))) return false;
    ++position_;
    skip_newline();
    return true;
  }
  void emit_from(std::size_t start) { sink_.add(text_.substr(start, position_ - start)); }

  /// Moves behind a literal whose opening quote is at the position; it ends with its line.
  void skip_quoted(char quote) {
    ++position_;
    while (!at_end() && !is_newline(peek())) {
      const char c = peek();
      if (c == '\\' && position_ + 1 < text_.size()) {
        ++position_;
        if (is_newline(peek()))
          skip_newline();
        else
          ++position_;
        continue;
      }
      ++position_;
      if (c == quote) return;
    }
  }

  template <std::size_t N>
  void emit_punctuator(const std::array<std::string_view, N>& known) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [this](std::string_view p) { return starts_with(p); });
    const std::size_t length = found == known.end() ? 1 : found->size();
    position_ += length;
    emit_from(position_ - length);
  }

  /// A number with its suffix, separators and signed exponent (`1'000.5e-3f`, `0x1p+4`).
  void emit_number() {
    const std::size_t start = position_;
    const bool is_hex = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
    while (!at_end()) {
      const char c = peek();
      const bool is_exponent = c == 'p' || c == 'P' || (!is_hex && (c == 'e' || c == 'E'));
      if (is_exponent && (peek(1) == '+' || peek(1) == '-')) {
        position_ += 2;
      } else if (is_name(c) || c == '.' || (c == '\'' && is_name(peek(1)))) {
        ++position_;
      } else {
        break;
      }
    }
    emit_from(start);
  }

  std::string_view text_;
  std::size_t position_ = 0;
  TokenSink& sink_;
};

class CppLexer : Lexer {
 public:
  using Lexer::Lexer;

  void run() {
    while (!at_end()) step();
    if (in_directive_) sink_.add(kLineEnd);
  }

 private:
  void step() {
    const char c = peek();
    if (is_newline(c)) {
      skip_newline();
      if (in_directive_) sink_.add(kLineEnd);
      in_directive_ = false;
      is_line_start_ = true;
    } else if (is_space(c)) {
      ++position_;
    } else if (skip_splice() || skip_comment()) {
      // Same as white space.
    } else {
      emit_token(c);
      is_line_start_ = false;
    }
  }

  bool skip_comment() {
    if (starts_with("//")) {
      while (!at_end() && !is_newline(peek())) {
        if (!skip_splice()) ++position_;
      }
      return true;
    }
    if (!starts_with("/*")) return false;
    const std::size_t end = text_.find("*/", position_ + 2);
    position_ = end == std::string_view::npos ? text_.size() : end + 2;
    return true;
  }

  void emit_token(char c) {
    if (is_name_start(c)) {
      emit_name();
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      emit_number();
    } else if (c == '"' || c == '\'') {
      const std::size_t start = position_;
      skip_quoted(c);
      emit_from(start);
    } else {
      if (c == '#' && is_line_start_) in_directive_ = true;
      emit_punctuator(kCppPunctuators);
    }
  }

  void emit_name() {
    const std::size_t start = position_;
    while (is_name(peek())) ++position_;
    const std::string_view name = text_.substr(start, position_ - start);
    const bool is_raw =
        name == "R" || name == "u8R" || name == "uR" || name == "UR" || name == "LR";
    const bool is_prefix = name == "u8" || name == "u" || name == "U" || name == "L";
    if (is_raw && peek() == '"' && skip_raw_string()) {
      emit_from(start);
    } else if (is_prefix && (peek() == '"' || peek() == '\'')) {
      skip_quoted(peek());
      emit_from(start);
    } else {
      sink_.add(name);
      // `#define f(x)` has a parameter, `#define f (x)` has none.
      if (is_after_define_ && peek() != '(') sink_.add(kSpace);
      is_after_define_ = in_directive_ && name == "define";
    }
  }

  bool skip_raw_string() {
    const std::size_t open = text_.find('(', position_);
    constexpr std::size_t kDelimiterMax = 16;  // [lex.string]
    if (open == std::string_view::npos || open - position_ - 1 > kDelimiterMax) return false;
    const std::string close =
        ")" + std::string(text_.substr(position_ + 1, open - position_ - 1)) + "\"";
    const std::size_t end = text_.find(close, open);
    position_ = end == std::string_view::npos ? text_.size() : end + close.size();
    return true;
  }

  bool in_directive_ = false;
  bool is_line_start_ = true;
  bool is_after_define_ = false;
};

class PythonLexer : Lexer {
 public:
  using Lexer::Lexer;

  void run() {
    while (!at_end()) {
      if (is_line_start_) begin_line();
      if (!at_end()) step();
    }
    end_line();
    set_indent(0);
  }

 private:
  /// Measures the indentation; blank lines and lines of comments have none.
  void begin_line() {
    int width = 0;
    while (is_space(peek())) {
      width = peek() == '\t' ? (width / kTabWidth + 1) * kTabWidth : width + 1;
      ++position_;
    }
    is_line_start_ = false;
    if (!at_end() && peek() != '#' && !is_newline(peek())) set_indent(width);
  }

  void set_indent(int width) {
    if (width > indents_.back()) {
      indents_.push_back(width);
      sink_.add(kIndent);
    }
    while (width < indents_.back()) {
      indents_.pop_back();
      sink_.add(kDedent);
    }
  }

  void end_line() {
    if (has_tokens_) sink_.add(kLineEnd);
    has_tokens_ = false;
    is_line_start_ = true;
  }

  void step() {
    const char c = peek();
    if (is_newline(c)) {
      skip_newline();
      if (depth_ == 0) end_line();
    } else if (is_space(c)) {
      ++position_;
    } else if (c == '#') {
      while (!at_end() && !is_newline(peek())) ++position_;
    } else if (!skip_splice()) {
      emit_token(c);
      has_tokens_ = true;
    }
  }

  void emit_token(char c) {
    if (is_name_start(c)) {
      const std::size_t start = position_;
      while (is_name(peek())) ++position_;
      const bool is_prefix = position_ - start <= 2 && (peek() == '"' || peek() == '\'');
      if (is_prefix) skip_string();
      emit_from(start);
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      emit_number();
    } else if (c == '"' || c == '\'') {
      const std::size_t start = position_;
      skip_string();
      emit_from(start);
    } else {
      if (c == '(' || c == '[' || c == '{') ++depth_;
      if ((c == ')' || c == ']' || c == '}') && depth_ > 0) --depth_;
      emit_punctuator(kPythonPunctuators);
    }
  }

  void skip_string() {
    const char quote = peek();
    const std::string triple(3, quote);
    if (!starts_with(triple)) return skip_quoted(quote);
    position_ += 3;
    while (!at_end() && !starts_with(triple)) position_ += peek() == '\\' ? 2 : 1;
    position_ = std::min(position_ + 3, text_.size());
  }

  std::vector<int> indents_ = {0};
  int depth_ = 0;
  bool is_line_start_ = true;
  bool has_tokens_ = false;
};

void lex_words(std::string_view text, TokenSink& sink) {
  const auto is_blank = [](char c) { return is_space(c) || is_newline(c); };
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    while (i < text.size() && !is_blank(text[i])) ++i;
    if (i > start) sink.add(text.substr(start, i - start));
    while (i < text.size() && is_blank(text[i])) ++i;
  }
}

}  // namespace

TokenDigest token_digest(std::string_view text, Language language) {
  TokenSink sink;
  switch (language) {
    case Language::cpp: CppLexer(text, sink).run(); break;
    case Language::python: PythonLexer(text, sink).run(); break;
    case Language::other: lex_words(text, sink); break;
  }
  return sink.finish();
}

TokenDigest token_digest(const std::map<std::string, std::string>& files, Language language) {
  KeyDigest key;
  std::int64_t count = 0;
  for (const auto& [path, content] : files) {
    const TokenDigest file = token_digest(content, language);
    key.add(path, file.digest);
    count += file.count;
  }
  return {.digest = key.finish_hex(), .count = count};
}

}  // namespace cambrian::source
