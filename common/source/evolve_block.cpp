#include "common/source/evolve_block.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace cambrian::source {

Result<std::vector<EvolveBlock>> find_evolve_blocks(std::string_view text) {
  std::vector<EvolveBlock> blocks;
  std::optional<std::size_t> open;
  const auto refuse = [](std::string_view what, int line) {
    return fail(Errc::invalid_argument, std::string(what) + ": line=" + std::to_string(line));
  };
  int line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    ++line_number;
    const std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    const std::string_view line = text.substr(begin, end - begin);
    const bool is_start = line.find(kEvolveBlockStart) != std::string_view::npos;
    const bool is_end = line.find(kEvolveBlockEnd) != std::string_view::npos;
    if (is_start && is_end) return refuse("two EVOLVE-BLOCK marks on one line", line_number);
    if (is_start) {
      if (open) return refuse("EVOLVE-BLOCK-START inside a block", line_number);
      open = end;
    } else if (is_end) {
      if (!open) return refuse("EVOLVE-BLOCK-END without a start", line_number);
      blocks.push_back({.begin = *open, .end = begin});
      open.reset();
    }
    begin = end;
  }
  if (open) return refuse("EVOLVE-BLOCK-START without an end", line_number);
  if (blocks.empty()) blocks.push_back({.begin = 0, .end = text.size()});
  return blocks;
}

}  // namespace cambrian::source
