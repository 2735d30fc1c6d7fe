#pragma once

#include <string>
#include <string_view>

namespace cambrian::cli {

/// What stands above the hunks.
struct DiffNames {
  std::string before;
  std::string after;
};

/// A unified difference with three lines of context, as `patch` reads it. Empty for equal texts.
/// The common head and tail cost nothing; where what lies between is larger than 4000 by 4000 lines
/// it is shown as replaced.
std::string unified_diff(std::string_view before, std::string_view after, const DiffNames& names);

/// Red and green lines, bold headers.
std::string colored_diff(std::string_view diff);

/// How many lines were added and removed.
struct DiffSize {
  int added = 0;
  int removed = 0;
};
DiffSize diff_size(std::string_view diff);

}  // namespace cambrian::cli
