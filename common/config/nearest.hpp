#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cambrian {

/// The candidate that `name` was probably meant to be: the smallest edit distance (insertions,
/// deletions, replacements, swapped neighbours), case and `-`/`_` not counted. Nothing when the
/// best one is further away than a third of its length, or when a name is longer than 128 bytes.
std::optional<std::string> nearest_name(std::string_view name,
                                        std::span<const std::string> candidates);

}  // namespace cambrian
