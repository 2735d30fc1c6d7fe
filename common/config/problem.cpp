#include "common/config/problem.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

#include "common/base/utf8.hpp"

namespace cambrian::config {
namespace {

/// Longer lines are cut in the excerpt: a file in one line would fill the screen.
constexpr std::size_t kExcerptBytesMax = 160;

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

bool is_continuation_byte(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// What stands before the caret: tabs stay tabs, so that the caret lands under its text.
std::string padding(std::string_view before) {
  std::string result;
  for (const char c : before) {
    if (!is_continuation_byte(c)) result += c == '\t' ? '\t' : ' ';
  }
  return result;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return !is_continuation_byte(c); }));
}

struct Style {
  std::string_view error, arrow, fix, reset;
};

constexpr Style kPlain{"", "", "", ""};
constexpr Style kColored{"\x1b[1;31m", "\x1b[34m", "\x1b[36m", "\x1b[0m"};

class Renderer {
 public:
  Renderer(std::string_view file_name, std::string_view text, const Style& style)
      : file_name_(file_name), lines_(split_lines(text)), style_(style) {}

  void add(const Problem& problem) {
    out_ += std::string(style_.error) + "error:" + std::string(style_.reset) + " " +
            problem.message + "\n";
    const auto line = static_cast<std::size_t>(std::max(problem.place.line, 0));
    out_ += "  " + std::string(style_.arrow) + "-->" + std::string(style_.reset) + " " +
            std::string(file_name_);
    if (line > 0) out_ += ":" + std::to_string(line) + ":" + std::to_string(problem.place.column);
    out_ += "\n";
    if (line == 0 || line > lines_.size()) {
      if (!problem.fix.empty()) out_ += "  = " + fix_text(problem) + "\n";
      return;
    }
    const std::size_t gutter = std::to_string(line).size();
    if (line >= 2 && !lines_[line - 2].empty()) add_line(line - 1, gutter);
    add_line(line, gutter);
    add_caret(problem, gutter);
  }

  std::string take() { return std::move(out_); }

 private:
  void add_line(std::size_t number, std::size_t gutter) {
    const std::string digits = std::to_string(number);
    const std::string_view line = lines_[number - 1];
    out_ += std::string(gutter - digits.size(), ' ') + digits + " | " +
            std::string(utf8_prefix(line, kExcerptBytesMax)) +
            (line.size() > kExcerptBytesMax ? "…" : "") + "\n";
  }

  void add_caret(const Problem& problem, std::size_t gutter) {
    const std::string_view line = lines_[static_cast<std::size_t>(problem.place.line) - 1];
    const std::size_t start =
        std::min(static_cast<std::size_t>(std::max(problem.place.column, 1) - 1), line.size());
    std::string text;
    if (start <= kExcerptBytesMax) {
      const auto width = static_cast<std::size_t>(std::max(problem.place.width, 1));
      const std::string_view marked = line.substr(start, std::min(width, kExcerptBytesMax));
      text = padding(line.substr(0, start)) + std::string(style_.error) +
             std::string(std::max<std::size_t>(characters(marked), 1), '^') +
             std::string(style_.reset);
    }
    out_ += std::string(gutter, ' ') + " | " + text;
    if (!problem.fix.empty()) out_ += (text.empty() ? "" : " ") + fix_text(problem);
    out_ += "\n";
  }

  std::string fix_text(const Problem& problem) const {
    return std::string(style_.fix) + problem.fix + std::string(style_.reset);
  }

  std::string_view file_name_;
  std::vector<std::string_view> lines_;
  const Style& style_;
  std::string out_;
};

}  // namespace

std::string render_problems(std::string_view file_name, std::string_view text,
                            std::span<const Problem> problems, RenderOptions options) {
  std::vector<const Problem*> sorted;
  for (const Problem& problem : problems) sorted.push_back(&problem);
  std::ranges::stable_sort(sorted, {}, [](const Problem* problem) {
    return std::tuple(problem->place.line, problem->place.column);
  });
  const auto shown = std::min(sorted.size(), static_cast<std::size_t>(options.problems_max));
  Renderer renderer(file_name, text, options.color ? kColored : kPlain);
  for (std::size_t i = 0; i < shown; ++i) renderer.add(*sorted[i]);
  std::string result = renderer.take();
  if (shown < sorted.size()) {
    result += "… and " + std::to_string(sorted.size() - shown) + " more\n";
  }
  return result;
}

}  // namespace cambrian::config
