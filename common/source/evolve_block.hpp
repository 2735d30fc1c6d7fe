#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace cambrian::source {

/// A line that contains one of these words begins or ends what a variant may change.
inline constexpr std::string_view kEvolveBlockStart = "EVOLVE-BLOCK-START";
inline constexpr std::string_view kEvolveBlockEnd = "EVOLVE-BLOCK-END";

/// Bytes of a file that may change, as [begin, end): whole lines between two marks, the lines of
/// the marks not included.
struct EvolveBlock {
  std::size_t begin = 0;
  std::size_t end = 0;
  friend bool operator==(const EvolveBlock&, const EvolveBlock&) = default;
};

/// The blocks of a file in order. A file without marks is one block: all of it may change.
/// Errors: invalid_argument for a start inside a block, an end without a start, a block that does
/// not end, or both words on one line; the message names the line.
Result<std::vector<EvolveBlock>> find_evolve_blocks(std::string_view text);

}  // namespace cambrian::source
