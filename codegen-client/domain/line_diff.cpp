#include "codegen-client/domain/line_diff.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "codegen-client/domain/text.hpp"

namespace cambrian::codegen {
namespace {

constexpr std::size_t kContextLines = 3;
constexpr std::size_t kTableCellsMax = 1'000'000;

/// One line of the diff: kept (' '), removed ('-') or added ('+').
struct Step {
  char kind = ' ';
  std::string_view line;
};

using Lines = std::vector<std::string_view>;

/// Longest common subsequence by the textbook table; too large ones are replaced as a whole.
void align(const Lines& a, const Lines& b, std::vector<Step>& steps) {
  std::size_t i = 0;
  std::size_t j = 0;
  if (a.size() * b.size() <= kTableCellsMax) {
    const std::size_t width = b.size() + 1;
    std::vector<std::uint32_t> common((a.size() + 1) * width, 0);
    for (std::size_t x = a.size(); x-- > 0;) {
      for (std::size_t y = b.size(); y-- > 0;) {
        common[x * width + y] =
            a[x] == b[y] ? common[(x + 1) * width + y + 1] + 1
                         : std::max(common[(x + 1) * width + y], common[x * width + y + 1]);
      }
    }
    while (i < a.size() && j < b.size()) {
      if (a[i] == b[j]) {
        steps.push_back({' ', a[i++]});
        ++j;
      } else if (common[(i + 1) * width + j] >= common[i * width + j + 1]) {
        steps.push_back({'-', a[i++]});
      } else {
        steps.push_back({'+', b[j++]});
      }
    }
  }
  for (; i < a.size(); ++i) steps.push_back({'-', a[i]});
  for (; j < b.size(); ++j) steps.push_back({'+', b[j]});
}

std::vector<Step> diff_steps(Lines a, Lines b) {
  const auto [left, right] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  std::vector<Step> steps;
  for (auto it = a.begin(); it != left; ++it) steps.push_back({' ', *it});
  a.erase(a.begin(), left);
  b.erase(b.begin(), right);
  std::vector<Step> tail;
  while (!a.empty() && !b.empty() && a.back() == b.back()) {
    tail.push_back({' ', a.back()});
    a.pop_back();
    b.pop_back();
  }
  align(a, b, steps);
  steps.insert(steps.end(), tail.rbegin(), tail.rend());
  return steps;
}

}  // namespace

std::string unified_diff(std::string_view before, std::string_view after) {
  const std::vector<Step> steps = diff_steps(split_lines(before), split_lines(after));
  std::vector<bool> is_shown(steps.size(), false);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind == ' ') continue;
    const std::size_t begin = i - std::min(i, kContextLines);
    const std::size_t end = std::min(steps.size(), i + kContextLines + 1);
    for (std::size_t k = begin; k < end; ++k) is_shown[k] = true;
  }
  std::string out;
  std::size_t old_line = 1;
  std::size_t new_line = 1;
  for (std::size_t i = 0; i < steps.size();) {
    if (!is_shown[i]) {
      ++i;
      ++old_line;
      ++new_line;
      continue;
    }
    std::string body;
    std::size_t old_count = 0;
    std::size_t new_count = 0;
    for (; i < steps.size() && is_shown[i]; ++i) {
      body.append(1, steps[i].kind).append(steps[i].line).append(1, '\n');
      old_count += steps[i].kind != '+';
      new_count += steps[i].kind != '-';
    }
    // A range of no lines is named by the line before it.
    const auto range = [](std::size_t line, std::size_t count) {
      return std::to_string(count == 0 ? line - 1 : line) + "," + std::to_string(count);
    };
    out += "@@ -" + range(old_line, old_count) + " +" + range(new_line, new_count) + " @@\n" + body;
    old_line += old_count;
    new_line += new_count;
  }
  return out;
}

}  // namespace cambrian::codegen
