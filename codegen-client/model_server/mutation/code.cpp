#include "codegen-client/model_server/mutation/code.hpp"

#include <algorithm>
#include <array>

namespace cambrian::codemodel {
namespace {

template <class Names>
bool is_one_of(std::string_view word, const Names& names) {
  return std::find(names.begin(), names.end(), word) != names.end();
}

constexpr std::array<std::string_view, 8> kControlWords = {"if",    "for",    "while",  "switch",
                                                           "catch", "return", "sizeof", "elif"};

}  // namespace

Result<Code> Code::parse(std::string text, Language language) {
  Code code;
  CAMBRIAN_TRY(code.blocks_, source::find_evolve_blocks(text));
  code.text_ = std::move(text);
  code.language_ = language;
  code.tokens_ = tokenize(code.text_, language);
  if (code.tokens_.size() > kTokensMax) {
    return fail(Errc::invalid_argument,
                "program is too long: tokens=" + std::to_string(code.tokens_.size()) +
                    " limit=" + std::to_string(kTokensMax));
  }
  code.find_functions();
  return code;
}

std::string_view Code::at(std::size_t i) const {
  if (i >= tokens_.size()) return {};
  return std::string_view(text_).substr(tokens_[i].begin, tokens_[i].end - tokens_[i].begin);
}

bool Code::is_identifier(std::size_t i) const {
  return i < tokens_.size() && tokens_[i].kind == TokenKind::identifier;
}

bool Code::is_number(std::size_t i) const {
  return i < tokens_.size() && tokens_[i].kind == TokenKind::number;
}

std::string Code::text_of(TokenRange range) const {
  if (range.empty()) return {};
  const std::size_t begin = tokens_[range.begin].begin;
  return text_.substr(begin, tokens_[range.end - 1].end - begin);
}

bool Code::is_editable(std::size_t begin_byte, std::size_t end_byte) const {
  return std::any_of(blocks_.begin(), blocks_.end(), [&](const source::EvolveBlock& block) {
    return block.begin <= begin_byte && end_byte <= block.end;
  });
}

bool Code::is_editable(TokenRange range) const {
  return !range.empty() && is_editable(tokens_[range.begin].begin, tokens_[range.end - 1].end);
}

bool Code::contains(std::string_view identifier) const {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].kind == TokenKind::identifier && at(i) == identifier) return true;
  }
  return false;
}

std::vector<TokenRange> Code::split(std::size_t open, std::size_t close) const {
  std::vector<TokenRange> parts;
  std::size_t begin = open + 1;
  for (std::size_t i = open + 1; i <= close; ++i) {
    const bool is_separator = i == close || (is(i, ",") && tokens_[i].parent == open);
    if (!is_separator) continue;
    if (i > begin) parts.push_back({begin, i});
    begin = i + 1;
  }
  return parts;
}

std::optional<Call> Code::call_at(std::size_t name) const {
  if (!is_identifier(name)) return std::nullopt;
  std::size_t open = name + 1;
  // `Linear first(784, 64)` and `Linear first{784, 64}` declare with arguments.
  if (is_identifier(open) && !is_python()) ++open;
  const bool is_call = is(open, "(") || (is(open, "{") && !is_block(open));
  if (!is_call || tokens_[open].partner == kNone) return std::nullopt;
  Call call{
      .name = name, .begin = name, .open = open, .close = tokens_[open].partner, .arguments = {}};
  while (call.begin >= 2 && (is(call.begin - 1, "::") || is(call.begin - 1, ".")) &&
         is_identifier(call.begin - 2)) {
    call.begin -= 2;
  }
  call.arguments = split(call.open, call.close);
  return call;
}

std::vector<Call> Code::calls(const std::vector<std::string_view>& names) const {
  std::vector<Call> found;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].kind != TokenKind::identifier) continue;
    if (!names.empty() && !is_one_of(at(i), names)) continue;
    auto call = call_at(i);
    if (call && is_editable({call->begin, call->close + 1})) found.push_back(std::move(*call));
  }
  return found;
}

std::vector<Call> Code::calls(std::initializer_list<std::string_view> names) const {
  return calls(std::vector<std::string_view>(names));
}

bool Code::is_block(std::size_t brace) const {
  if (!is(brace, "{") || tokens_[brace].partner == kNone) return false;
  if (brace == 0 || is(brace - 1, ")") || is(brace - 1, ";") || is(brace - 1, "}")) return true;
  static constexpr std::array<std::string_view, 9> kBefore = {
      "const", "else", "do", "try", "override", "noexcept", "final", "mutable", "{"};
  if (is_one_of(at(brace - 1), kBefore)) return true;
  for (std::size_t i = brace + 1; i < tokens_[brace].partner; ++i) {
    if (tokens_[i].parent == brace && is(i, ";")) return true;
  }
  return false;
}

TokenRange Code::statement(std::size_t token) const {
  if (is_python()) {
    while (tokens_[token].parent != kNone) token = tokens_[token].parent;
    std::size_t begin = token;
    const auto same_line = [this](std::size_t left, std::size_t right) {
      return text_.find('\n', tokens_[left].end) >= tokens_[right].begin;
    };
    const auto joined = [&](std::size_t left) {
      const std::size_t opening = tokens_[left].partner;
      return opening != kNone && opening < left ? opening : left;
    };
    begin = joined(begin);
    while (begin > 0 && same_line(begin - 1, begin)) begin = joined(begin - 1);
    std::size_t end = begin;
    for (;;) {
      const std::size_t partner = tokens_[end].partner;
      if (partner != kNone && partner > end) end = partner;
      if (end + 1 >= tokens_.size() || !same_line(end, end + 1)) break;
      ++end;
    }
    return {begin, end + 1};
  }
  while (tokens_[token].parent != kNone && !is_block(tokens_[token].parent)) {
    token = tokens_[token].parent;
  }
  const std::size_t parent = tokens_[token].parent;
  const std::size_t low = parent == kNone ? 0 : parent + 1;
  std::size_t begin = low;
  for (std::size_t i = low; i < tokens_.size(); ++i) {
    if (parent != kNone && i == tokens_[parent].partner) return {begin, i};
    if (tokens_[i].parent != parent) continue;
    const bool ends_block = is(i, "}") && tokens_[i].partner != kNone &&
                            is_block(tokens_[i].partner) && !is(i + 1, ";") && !is(i + 1, ")");
    const bool is_label = is(i, ":") && i > 0 &&
                          (is(i - 1, "public") || is(i - 1, "private") || is(i - 1, "protected"));
    const bool ends =
        is(i, ";") || ends_block || is_label || tokens_[i].kind == TokenKind::directive;
    if (!ends) continue;
    if (i >= token) return {begin, i + 1};
    begin = i + 1;
  }
  return {begin, tokens_.size()};
}

void Code::find_functions() {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (is_python() ? is(i, "def") : is_block(i)) {
      is_python() ? find_python_function(i) : find_cpp_function(i);
    }
  }
}

void Code::find_cpp_function(std::size_t brace) {
  // Back over `const`, `noexcept`, a trailing return type and a list of initialisers.
  std::size_t close = kNone;
  for (std::size_t i = brace; i > 0 && brace - i < 80; --i) {
    const std::size_t before = i - 1;
    if (tokens_[before].parent != tokens_[brace].parent) continue;
    if (is(before, ";") || is(before, "{") || is(before, "}") || is(before, "=")) break;
    if (is(before, ")")) close = before;
    const bool is_constructor = is(before, ":") && before > 0 && is(before - 1, ")");
    if (close != kNone && !is_constructor) {
      const std::size_t open = tokens_[close].partner;
      if (open == kNone || open == 0) return;
      const bool is_initialiser = open >= 2 && (is(open - 2, ",") || is(open - 2, ":"));
      if (!is_initialiser) break;
      close = kNone;
    }
  }
  if (close == kNone) return;
  const std::size_t open = tokens_[close].partner;
  if (open == kNone || open == 0 || !is_identifier(open - 1)) return;
  if (is_one_of(at(open - 1), kControlWords)) return;
  const TokenRange whole = statement(open - 1);
  Function function{.name = open - 1,
                    .owner = owner_of(open - 1),
                    .open = open,
                    .close = close,
                    .body = {brace + 1, tokens_[brace].partner},
                    .begin = tokens_[whole.begin].begin,
                    .end = tokens_[tokens_[brace].partner].end};
  functions_.push_back(function);
}

void Code::find_python_function(std::size_t def) {
  if (!is_identifier(def + 1) || !is(def + 2, "(")) return;
  const std::size_t close = tokens_[def + 2].partner;
  if (close == kNone) return;
  const TokenRange header = statement(def);
  const auto column = [this](std::size_t token) {
    return tokens_[token].begin - line_begin(tokens_[token].begin);
  };
  const std::size_t own = column(header.begin);
  std::size_t end = header.end;
  while (end < tokens_.size()) {
    const TokenRange line = statement(end);
    if (column(line.begin) <= own) break;
    // In a broken text the logical line of a token may end before it.
    end = std::max(line.end, end + 1);
  }
  functions_.push_back({.name = def + 1,
                        .owner = owner_of(def),
                        .open = def + 2,
                        .close = close,
                        .body = {header.end, end},
                        .begin = tokens_[header.begin].begin,
                        .end = tokens_[end - 1].end});
}

std::string Code::owner_of(std::size_t token) const {
  if (is_python()) {
    const auto column = [this](std::size_t i) {
      return tokens_[i].begin - line_begin(tokens_[i].begin);
    };
    for (std::size_t i = token; i-- > 0;) {
      const bool is_outer = (is(i, "class") || is(i, "def")) && column(i) < column(token);
      if (is_outer) return is(i, "class") ? std::string(at(i + 1)) : std::string();
    }
    return {};
  }
  for (std::size_t i = tokens_[token].parent; i != kNone; i = tokens_[i].parent) {
    if (!is_block(i)) continue;
    const TokenRange head = statement(i);
    if (is(head.begin, "struct") || is(head.begin, "class")) return std::string(at(head.begin + 1));
  }
  return {};
}

const Function* Code::function_around(std::size_t token) const {
  const Function* innermost = nullptr;
  for (const Function& function : functions_) {
    if (function.body.begin <= token && token < function.body.end) innermost = &function;
  }
  return innermost;
}

std::size_t Code::line_begin(std::size_t byte) const {
  const std::size_t feed = byte == 0 ? kNone : text_.rfind('\n', byte - 1);
  return feed == kNone ? 0 : feed + 1;
}

std::size_t Code::line_end(std::size_t byte) const {
  const std::size_t feed = text_.find('\n', byte);
  return feed == kNone ? text_.size() : feed + 1;
}

std::string Code::indentation(std::size_t byte) const {
  const std::size_t begin = line_begin(byte);
  std::size_t end = begin;
  while (end < text_.size() && (text_[end] == ' ' || text_[end] == '\t')) ++end;
  return text_.substr(begin, end - begin);
}

Result<std::string> Code::apply(std::vector<Edit> edits) const {
  std::stable_sort(edits.begin(), edits.end(),
                   [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  std::string changed;
  std::size_t position = 0;
  for (const Edit& edit : edits) {
    if (edit.begin < position || edit.end < edit.begin || edit.end > text_.size()) {
      return fail(Errc::invalid_argument, "edits overlap: byte=" + std::to_string(edit.begin));
    }
    if (!is_editable(edit.begin, edit.end)) {
      return fail(Errc::invalid_argument,
                  "edit outside of the evolvable blocks: byte=" + std::to_string(edit.begin));
    }
    changed.append(text_, position, edit.begin - position);
    changed += edit.text;
    position = edit.end;
  }
  changed.append(text_, position);
  return changed;
}

}  // namespace cambrian::codemodel
