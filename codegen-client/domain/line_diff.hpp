#pragma once

#include <string>
#include <string_view>

namespace cambrian::codegen {

/// Unified diff from `before` to `after` with three lines of context, without the two lines that
/// name the files. Empty when the lines are equal. Texts that differ in very many lines come out
/// as one large hunk. Pure; any thread.
std::string unified_diff(std::string_view before, std::string_view after);

}  // namespace cambrian::codegen
