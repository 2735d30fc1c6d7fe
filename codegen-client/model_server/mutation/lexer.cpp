#include "codegen-client/model_server/mutation/lexer.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace cambrian::codemodel {
namespace {

constexpr std::array<std::string_view, 26> kCppOperators = {
    "<<=", ">>=", "<=>", "->*", "...", "::", "->", "++", "--", "<<", "<=", ">=", "==",
    "!=",  "&&",  "||",  "+=",  "-=",  "*=", "/=", "%=", "&=", "|=", "^=", ".*", "##"};
constexpr std::array<std::string_view, 24> kPythonOperators = {
    "**=", "//=", "<<=", ">>=", "...", "**", "//", "<<", ">>", "<=", ">=", "==",
    "!=",  "->",  ":=",  "+=",  "-=",  "*=", "/=", "%=", "&=", "|=", "^=", "@="};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

class Lexer {
 public:
  Lexer(std::string_view text, Language language) : text_(text), language_(language) {}

  std::vector<Token> run() {
    while (position_ < text_.size()) step();
    match_brackets();
    return std::move(tokens_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  bool at(std::string_view word) const { return text_.substr(position_).starts_with(word); }
  void skip_until(std::string_view word) {
    const auto found = text_.find(word, position_);
    position_ = found == std::string_view::npos ? text_.size() : found;
  }
  void emit(TokenKind kind, std::size_t begin) {
    tokens_.push_back({.kind = kind, .begin = begin, .end = position_});
  }

  void step() {
    const char c = peek();
    const bool is_cpp = language_ != Language::python;
    if (c == '\n') {
      is_line_start_ = true;
      ++position_;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || c == '\\') {
      ++position_;
    } else if (is_cpp ? at("//") : c == '#') {
      skip_until("\n");
    } else if (is_cpp && at("/*")) {
      skip_until("*/");
      position_ = std::min(position_ + 2, text_.size());
    } else {
      lex_token(c);
      is_line_start_ = false;
    }
  }

  void lex_token(char c) {
    const std::size_t begin = position_;
    if (language_ != Language::python && c == '#' && is_line_start_) {
      lex_directive();
    } else if (const std::size_t prefix = literal_prefix(); prefix != kNone) {
      lex_string(prefix);
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      lex_number();
      emit(TokenKind::number, begin);
    } else if (is_name_start(c)) {
      while (is_name(peek())) ++position_;
      emit(TokenKind::identifier, begin);
    } else {
      position_ += operator_length();
      emit(TokenKind::punctuation, begin);
    }
  }

  void lex_directive() {
    const std::size_t begin = position_;
    do {
      skip_until("\n");
    } while (position_ < text_.size() && text_[position_ - 1] == '\\' && ++position_);
    emit(TokenKind::directive, begin);
  }

  /// Number of letters before the quote of a literal that begins here, or kNone.
  std::size_t literal_prefix() const {
    std::size_t letters = 0;
    while (letters < 3 && std::string_view("rRbBuUfFL8").find(peek(letters)) != kNone &&
           peek(letters) != '\0' && !(letters == 0 && is_digit(peek()))) {
      ++letters;
    }
    const char quote = peek(letters);
    return quote == '"' || quote == '\'' ? letters : kNone;
  }

  void lex_string(std::size_t prefix) {
    const std::size_t begin = position_;
    const bool is_raw = text_.substr(position_, prefix).find_first_of("rR") != kNone;
    position_ += prefix;
    const std::string_view quote = text_.substr(position_, 1);
    const std::string_view triple = text_.substr(position_, 3);
    if (language_ != Language::python && is_raw) {
      const auto open = text_.find('(', position_);
      const std::string_view mark =
          open == kNone ? "" : text_.substr(position_ + 1, open - position_ - 1);
      const std::string closing = ")" + std::string(mark) + "\"";
      skip_until(closing);
      position_ = std::min(position_ + closing.size(), text_.size());
    } else if (language_ == Language::python && triple.size() == 3 &&
               triple == std::string(3, quote[0])) {
      position_ += 3;
      skip_until(triple);
      position_ = std::min(position_ + 3, text_.size());
    } else {
      ++position_;
      while (position_ < text_.size() && peek() != '\n' && peek() != quote[0]) {
        position_ += peek() == '\\' && position_ + 1 < text_.size() ? 2 : 1;
      }
      if (peek() == quote[0]) ++position_;
    }
    emit(TokenKind::string, begin);
  }

  void lex_number() {
    const bool is_hex = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
    while (position_ < text_.size()) {
      const char c = peek();
      const bool is_exponent = is_hex ? (c == 'p' || c == 'P') : (c == 'e' || c == 'E');
      if (is_exponent && (peek(1) == '+' || peek(1) == '-')) {
        position_ += 2;
      } else if (is_name(c) || c == '.' ||
                 (c == '\'' && language_ != Language::python && is_name(peek(1)))) {
        ++position_;
      } else {
        break;
      }
    }
  }

  std::size_t operator_length() const {
    const auto longest = [this](const auto& known) {
      const auto found =
          std::find_if(known.begin(), known.end(), [this](auto word) { return at(word); });
      return found == known.end() ? std::size_t{1} : found->size();
    };
    if (language_ == Language::python) return longest(kPythonOperators);
    return longest(kCppOperators);
  }

  void match_brackets() {
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      Token& token = tokens_[i];
      token.parent = open.empty() ? kNone : open.back();
      if (token.kind != TokenKind::punctuation || token.end - token.begin != 1) continue;
      const char c = text_[token.begin];
      if (c == '(' || c == '[' || c == '{') {
        open.push_back(i);
      } else if (c == ')' || c == ']' || c == '}') {
        const char wanted = c == ')' ? '(' : c == ']' ? '[' : '{';
        if (open.empty() || text_[tokens_[open.back()].begin] != wanted) continue;
        token.partner = open.back();
        tokens_[open.back()].partner = i;
        open.pop_back();
        token.parent = open.empty() ? kNone : open.back();
      }
    }
  }

  std::string_view text_;
  Language language_;
  std::size_t position_ = 0;
  bool is_line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view text, Language language) {
  return Lexer(text, language).run();
}

}  // namespace cambrian::codemodel
