#include "cli/output/diff.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cli/output/terminal.hpp"

namespace cambrian::cli {
namespace {

constexpr std::size_t kContextLines = 3;
constexpr std::size_t kCellsMax = std::size_t{4000} * 4000;

using Lines = std::vector<std::string_view>;

/// Lines with their line breaks: a missing one at the end is a difference.
Lines split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

enum class Kind : char { same = ' ', removed = '-', added = '+' };

struct Step {
  Kind kind;
  std::string_view line;
};

/// Longest common subsequence by the table of lengths of common tails.
void align(const Lines& a, const Lines& b, std::vector<Step>& steps) {
  const std::size_t width = b.size() + 1;
  const bool fits = a.size() * b.size() <= kCellsMax;
  std::vector<std::uint16_t> common(fits ? (a.size() + 1) * width : 0);
  for (std::size_t i = a.size(); fits && i-- > 0;) {
    for (std::size_t j = b.size(); j-- > 0;) {
      const std::uint16_t both = common[(i + 1) * width + j + 1];
      common[i * width + j] =
          a[i] == b[j] ? static_cast<std::uint16_t>(both + 1)
                       : std::max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() || j < b.size()) {
    if (fits && i < a.size() && j < b.size() && a[i] == b[j]) {
      steps.push_back({Kind::same, a[i]});
      ++i;
      ++j;
    } else if (i < a.size() && (j == b.size() || !fits ||
                                common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      steps.push_back({Kind::removed, a[i++]});
    } else {
      steps.push_back({Kind::added, b[j++]});
    }
  }
}

std::vector<Step> make_steps(const Lines& a, const Lines& b) {
  std::size_t head = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  std::size_t tail = 0;
  while (tail < a.size() - head && tail < b.size() - head &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) {
    ++tail;
  }
  std::vector<Step> steps;
  const auto at = [](const Lines& lines, std::size_t n) {
    return lines.begin() + static_cast<std::ptrdiff_t>(n);
  };
  for (std::size_t i = 0; i < head; ++i) steps.push_back({Kind::same, a[i]});
  align(Lines(at(a, head), at(a, a.size() - tail)), Lines(at(b, head), at(b, b.size() - tail)),
        steps);
  for (std::size_t i = a.size() - tail; i < a.size(); ++i) steps.push_back({Kind::same, a[i]});
  return steps;
}

std::string range(std::size_t start, std::size_t count) {
  // The line before an empty range is named, as diff(1) does.
  const std::size_t first = count == 0 ? start : start + 1;
  return std::to_string(first) + (count == 1 ? "" : "," + std::to_string(count));
}

}  // namespace

std::string unified_diff(std::string_view before, std::string_view after, const DiffNames& names) {
  if (before == after) return "";
  const std::vector<Step> steps = make_steps(split(before), split(after));
  std::string out = "--- " + names.before + "\n+++ " + names.after + "\n";
  std::size_t line_a = 0;
  std::size_t line_b = 0;
  std::size_t i = 0;
  while (i < steps.size()) {
    // A hunk begins at most three lines before the next change ...
    std::size_t change = i;
    while (change < steps.size() && steps[change].kind == Kind::same) ++change;
    if (change == steps.size()) break;
    const std::size_t start = change - std::min(change - i, kContextLines);
    line_a += start - i;
    line_b += start - i;
    // ... and ends three lines behind the last one that is followed by no other within six.
    std::size_t last = change;
    for (std::size_t j = change; j < steps.size() && j <= last + 2 * kContextLines + 1; ++j) {
      if (steps[j].kind != Kind::same) last = j;
    }
    const std::size_t end = std::min(last + 1 + kContextLines, steps.size());
    std::string body;
    std::size_t count_a = 0;
    std::size_t count_b = 0;
    for (std::size_t j = start; j < end; ++j) {
      count_a += steps[j].kind != Kind::added ? 1U : 0U;
      count_b += steps[j].kind != Kind::removed ? 1U : 0U;
      body += static_cast<char>(steps[j].kind);
      body += steps[j].line;
      if (!steps[j].line.ends_with('\n')) body += "\n\\ No newline at end of file\n";
    }
    out += "@@ -" + range(line_a, count_a) + " +" + range(line_b, count_b) + " @@\n" + body;
    line_a += count_a;
    line_b += count_b;
    i = end;
  }
  return out;
}

std::string colored_diff(std::string_view diff) {
  std::string out;
  for (const std::string_view line : split(diff)) {
    const std::string_view text = line.substr(0, line.find('\n'));
    std::string_view style;
    if (text.starts_with("+++") || text.starts_with("---")) {
      style = "1";
    } else if (text.starts_with('+')) {
      style = "32";
    } else if (text.starts_with('-')) {
      style = "31";
    } else if (text.starts_with("@@")) {
      style = "36";
    }
    out += (style.empty() ? std::string(text) : styled(text, style, true)) + "\n";
  }
  return out;
}

DiffSize diff_size(std::string_view diff) {
  DiffSize size;
  for (const std::string_view line : split(diff)) {
    if (line.starts_with("+++ ") || line.starts_with("--- ")) continue;
    size.added += line.starts_with('+') ? 1 : 0;
    size.removed += line.starts_with('-') ? 1 : 0;
  }
  return size;
}

}  // namespace cambrian::cli
