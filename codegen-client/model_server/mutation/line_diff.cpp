#include "codegen-client/model_server/mutation/line_diff.hpp"

#include <algorithm>
#include <cstdint>

namespace cambrian::codemodel {
namespace {

using Lines = std::vector<std::string_view>;

/// Lengths of the longest common subsequences of all pairs of suffixes.
class SuffixTable {
 public:
  SuffixTable(const Lines& before, const Lines& after, const Hunk& middle)
      : width_(middle.after_end - middle.after_begin + 1),
        cells_((middle.before_end - middle.before_begin + 1) * width_) {
    for (std::size_t i = middle.before_end - middle.before_begin; i-- > 0;) {
      for (std::size_t j = width_ - 1; j-- > 0;) {
        const bool is_same = before[middle.before_begin + i] == after[middle.after_begin + j];
        cell(i, j) = is_same ? cell(i + 1, j + 1) + 1 : std::max(cell(i + 1, j), cell(i, j + 1));
      }
    }
  }
  std::uint32_t at(std::size_t i, std::size_t j) const { return cells_[i * width_ + j]; }

 private:
  std::uint32_t& cell(std::size_t i, std::size_t j) { return cells_[i * width_ + j]; }

  std::size_t width_;
  std::vector<std::uint32_t> cells_;
};

}  // namespace

std::vector<std::string_view> split_lines(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto feed = text.find('\n');
    const std::size_t length = feed == std::string_view::npos ? text.size() : feed + 1;
    lines.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return lines;
}

std::vector<Hunk> diff_lines(const Lines& before, const Lines& after) {
  Hunk middle{0, before.size(), 0, after.size()};
  while (middle.before_begin < middle.before_end && middle.after_begin < middle.after_end &&
         before[middle.before_begin] == after[middle.after_begin]) {
    ++middle.before_begin;
    ++middle.after_begin;
  }
  while (middle.before_begin < middle.before_end && middle.after_begin < middle.after_end &&
         before[middle.before_end - 1] == after[middle.after_end - 1]) {
    --middle.before_end;
    --middle.after_end;
  }
  const std::size_t rows = middle.before_end - middle.before_begin;
  const std::size_t columns = middle.after_end - middle.after_begin;
  if (rows == 0 && columns == 0) return {};
  if (rows == 0 || columns == 0 || rows > kDiffCellsMax / columns) return {middle};

  const SuffixTable table(before, after, middle);
  std::vector<Hunk> hunks;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < rows || j < columns) {
    const std::size_t from_i = i;
    const std::size_t from_j = j;
    while ((i < rows || j < columns) &&
           !(i < rows && j < columns &&
             before[middle.before_begin + i] == after[middle.after_begin + j])) {
      const bool drops = j == columns || (i < rows && table.at(i + 1, j) >= table.at(i, j + 1));
      drops ? ++i : ++j;
    }
    if (i > from_i || j > from_j) {
      hunks.push_back({middle.before_begin + from_i, middle.before_begin + i,
                       middle.after_begin + from_j, middle.after_begin + j});
    }
    while (i < rows && j < columns &&
           before[middle.before_begin + i] == after[middle.after_begin + j]) {
      ++i;
      ++j;
    }
  }
  return hunks;
}

}  // namespace cambrian::codemodel
