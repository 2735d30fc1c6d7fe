#pragma once

#include <string_view>
#include <vector>

namespace cambrian::codemodel {

/// Lines [before_begin, before_end) of one text that became [after_begin, after_end) of another.
struct Hunk {
  std::size_t before_begin = 0;
  std::size_t before_end = 0;
  std::size_t after_begin = 0;
  std::size_t after_end = 0;
};

/// The lines of a text, line feeds included.
std::vector<std::string_view> split_lines(std::string_view text);

/// What differs, in order; a longest common subsequence of lines is kept. Texts whose differing
/// middles are too long for that (more than kDiffCellsMax pairs of lines) give one hunk.
std::vector<Hunk> diff_lines(const std::vector<std::string_view>& before,
                             const std::vector<std::string_view>& after);

inline constexpr std::size_t kDiffCellsMax = 4'000'000;

}  // namespace cambrian::codemodel
