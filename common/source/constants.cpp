#include "common/source/constants.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "common/source/characters.hpp"
#include "common/source/evolve_block.hpp"

namespace cambrian::source {
namespace {

constexpr std::string_view kMark = "TUNE";
/// Numbers beyond are no parameters: they guard divisions or stand for infinity.
constexpr double kValueMin = 1e-6;
constexpr double kValueMax = 1e6;
/// How far a number without bounds may move, up and down.
constexpr double kFactorDefault = 4;
constexpr int kDigits = 6;

/// A number as it stands in the text.
struct Literal {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t line = 0;
  double value = 0;
  bool is_whole = false;
  std::string suffix;
};

struct Comment {
  std::size_t begin = 0;
  std::size_t line = 0;
  std::string_view text;
};

struct Scan {
  std::vector<Literal> literals;
  std::vector<Comment> comments;
};

/// Reads a number without separators, of base ten, with nothing but f or l behind it.
std::optional<Literal> parse_literal(std::string_view text) {
  Literal literal;
  std::string_view digits = text;
  if (const char last = digits.back(); last == 'f' || last == 'F' || last == 'l' || last == 'L') {
    literal.suffix = last;
    digits.remove_suffix(1);
  }
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), literal.value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  literal.is_whole = std::ranges::all_of(digits, is_digit);
  // A suffix of a whole number is its type; a leading zero another base.
  if (literal.is_whole && (!literal.suffix.empty() || (digits.size() > 1 && digits[0] == '0'))) {
    return std::nullopt;
  }
  return literal;
}

/// Walks over a text and notes its numbers and comments.
class Scanner {
 public:
  Scanner(std::string_view text, Language language)
      : text_(text), is_python_(language == Language::python) {}

  Scan run() {
    while (!at_end()) step();
    return std::move(scan_);
  }

 private:
  bool at_end() const { return position_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  bool starts_with(std::string_view prefix) const {
    return text_.substr(position_).starts_with(prefix);
  }

  void advance(std::size_t count = 1) {
    for (; count > 0 && !at_end(); --count) {
      if (text_[position_++] == '\n') ++line_;
    }
  }

  void step() {
    const char c = peek();
    if (is_newline(c)) {
      is_line_start_ = true;
      return advance();
    }
    if (is_space(c)) return advance();
    const bool begins_line = std::exchange(is_line_start_, false);
    if (is_python_ ? c == '#' : starts_with("//")) {
      take_comment(end_of_line());
    } else if (!is_python_ && starts_with("/*")) {
      const std::size_t end = text_.find("*/", position_ + 2);
      take_comment(end == std::string_view::npos ? text_.size() : end + 2);
    } else if (!is_python_ && c == '#' && begins_line) {
      advance(end_of_line() - position_);
    } else if (c == '"' || c == '\'') {
      skip_string();
    } else if (is_name_start(c)) {
      skip_name();
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      take_number();
    } else {
      advance();
    }
  }

  /// In C++ a backslash joins lines.
  std::size_t end_of_line() const {
    std::size_t end = position_;
    while (end < text_.size() &&
           (text_[end] != '\n' || (!is_python_ && end > 0 && text_[end - 1] == '\\'))) {
      ++end;
    }
    return end;
  }

  void take_comment(std::size_t end) {
    scan_.comments.push_back({position_, line_, text_.substr(position_, end - position_)});
    advance(end - position_);
  }

  void skip_string() {
    const char quote = peek();
    const std::string triple(3, quote);
    const bool is_long = is_python_ && starts_with(triple);
    advance(is_long ? 3 : 1);
    while (!at_end()) {
      if (is_long ? starts_with(triple) : peek() == quote) return advance(is_long ? 3 : 1);
      if (!is_long && is_newline(peek())) return;
      advance(peek() == '\\' ? 2 : 1);
    }
  }

  void skip_name() {
    const std::size_t begin = position_;
    while (is_name(peek())) ++position_;
    const std::string_view name = text_.substr(begin, position_ - begin);
    const bool is_raw =
        name == "R" || name == "u8R" || name == "uR" || name == "UR" || name == "LR";
    if (is_python_ || !is_raw || peek() != '"') return;
    const std::size_t open = text_.find('(', position_);
    if (open == std::string_view::npos) return;
    std::string close = ")";
    close.append(text_.substr(position_ + 1, open - position_ - 1)).append("\"");
    const std::size_t end = text_.find(close, open);
    advance((end == std::string_view::npos ? text_.size() : end + close.size()) - position_);
  }

  void take_number() {
    const std::size_t begin = position_;
    const bool is_hex = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
    while (!at_end()) {
      const char c = peek();
      const bool is_exponent = !is_hex && (c == 'e' || c == 'E');
      if (is_exponent && (peek(1) == '+' || peek(1) == '-')) {
        position_ += 2;
      } else if (is_name(c) || c == '.' || (c == '\'' && is_name(peek(1)) && !is_python_)) {
        ++position_;
      } else {
        break;
      }
    }
    auto literal = parse_literal(text_.substr(begin, position_ - begin));
    if (!literal) return;
    literal->begin = begin;
    literal->end = position_;
    literal->line = line_;
    scan_.literals.push_back(std::move(*literal));
  }

  std::string_view text_;
  bool is_python_;
  std::size_t position_ = 0;
  std::size_t line_ = 0;
  bool is_line_start_ = true;
  Scan scan_;
};

/// What a mark says.
struct Mark {
  std::optional<std::pair<double, double>> bounds;
  bool is_logarithmic = false;
};

std::string_view without_spaces(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

/// Takes a number and what follows it off the text.
std::optional<double> take_value(std::string_view& text, char follower) {
  text = without_spaces(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  text = without_spaces(text.substr(static_cast<std::size_t>(end - text.data())));
  if (!text.starts_with(follower)) return std::nullopt;
  text.remove_prefix(1);
  return value;
}

std::optional<Mark> parse_mark(std::string_view comment) {
  const std::size_t place = comment.find(kMark);
  if (place == std::string_view::npos) return std::nullopt;
  std::string_view rest = comment.substr(place + kMark.size());
  if ((place > 0 && is_name(comment[place - 1])) || (!rest.empty() && is_name(rest.front()))) {
    return std::nullopt;
  }
  Mark mark;
  rest = without_spaces(rest);
  if (rest.starts_with('[')) {
    rest.remove_prefix(1);
    const auto low = take_value(rest, ',');
    const auto high = low ? take_value(rest, ']') : std::nullopt;
    if (!high || *low >= *high) return Mark{};
    mark.bounds = {*low, *high};
  }
  rest = without_spaces(rest);
  mark.is_logarithmic = rest.starts_with("log") && (rest.size() == 3 || !is_name(rest[3]));
  if (mark.is_logarithmic && mark.bounds && mark.bounds->first <= 0) return Mark{};
  return mark;
}

Constant make_constant(const Literal& literal, const Mark& mark) {
  Constant constant{.value = literal.value};
  if (mark.bounds) {
    std::tie(constant.low, constant.high) = *mark.bounds;
    constant.is_logarithmic = mark.is_logarithmic;
    constant.value = std::clamp(constant.value, constant.low, constant.high);
  } else if (literal.value == 0) {
    constant.low = -1;
    constant.high = 1;
  } else {
    constant.low = literal.value / kFactorDefault;
    constant.high = literal.value * kFactorDefault;
    constant.is_logarithmic = true;
  }
  return constant;
}

/// A number of a program with its place.
struct Site {
  const std::string* path = nullptr;
  Literal literal;
  Constant constant;
};

bool is_tunable_unmarked(const Literal& literal) {
  return !literal.is_whole &&
         (literal.value == 0 || (literal.value >= kValueMin && literal.value <= kValueMax));
}

std::vector<Site> find_sites(const std::map<std::string, std::string>& files, Language language) {
  std::vector<Site> marked;
  std::vector<Site> unmarked;
  if (language == Language::other) return marked;
  for (const auto& [path, text] : files) {
    const auto blocks = find_evolve_blocks(text);
    if (!blocks) continue;
    const Scan scan = Scanner(text, language).run();
    std::map<std::size_t, std::pair<std::size_t, Mark>> marks;  // By line: place and mark.
    for (const auto& comment : scan.comments) {
      if (const auto mark = parse_mark(comment.text)) marks[comment.line] = {comment.begin, *mark};
    }
    for (const auto& literal : scan.literals) {
      const bool is_inside = std::ranges::any_of(*blocks, [&](const EvolveBlock& block) {
        return literal.begin >= block.begin && literal.end <= block.end;
      });
      if (!is_inside) continue;
      const auto mark = marks.find(literal.line);
      if (mark != marks.end() && literal.begin < mark->second.first) {
        marked.push_back({&path, literal, make_constant(literal, mark->second.second)});
      } else if (is_tunable_unmarked(literal)) {
        unmarked.push_back({&path, literal, make_constant(literal, {})});
      }
    }
  }
  auto& chosen = marked.empty() ? unmarked : marked;
  if (chosen.size() > kConstantsMax) chosen.resize(kConstantsMax);
  return std::move(chosen);
}

std::string format(double value, const Literal& literal) {
  std::array<char, 64> buffer{};
  char* end = nullptr;
  if (literal.is_whole) {
    end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::llround(value)).ptr;
  } else {
    end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                        std::chars_format::general, kDigits)
              .ptr;
  }
  std::string text(buffer.data(), end);
  if (!literal.is_whole && text.find_first_of(".e") == std::string::npos) text += ".0";
  text += literal.suffix;
  // Behind a minus sign a bare one would be a decrement.
  return text.starts_with('-') ? "(" + text + ")" : text;
}

}  // namespace

std::vector<Constant> find_constants(const std::map<std::string, std::string>& files,
                                     Language language) {
  std::vector<Constant> constants;
  for (const auto& site : find_sites(files, language)) constants.push_back(site.constant);
  return constants;
}

Result<std::map<std::string, std::string>> replace_constants(
    const std::map<std::string, std::string>& files, Language language,
    std::span<const double> values) {
  const auto sites = find_sites(files, language);
  if (sites.size() != values.size()) {
    return fail(Errc::invalid_argument, "the program has another number of constants: found=" +
                                            std::to_string(sites.size()) +
                                            " given=" + std::to_string(values.size()));
  }
  std::map<std::string, std::string> replaced = files;
  // From the back, so that the places before stay where they are.
  for (std::size_t i = sites.size(); i > 0; --i) {
    const Site& site = sites[i - 1];
    const double value = values[i - 1];
    if (!std::isfinite(value) || std::abs(value) > 1e15) {
      return fail(Errc::invalid_argument, "a constant is out of range");
    }
    // A value that is the written one keeps the way in which it is written.
    if (value == site.literal.value) continue;
    replaced.at(*site.path)
        .replace(site.literal.begin, site.literal.end - site.literal.begin,
                 format(value, site.literal));
  }
  return replaced;
}

}  // namespace cambrian::source
