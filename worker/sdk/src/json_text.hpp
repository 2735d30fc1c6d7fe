#pragma once

#include <string>
#include <string_view>

#include "cambrian/json.hpp"

namespace cambrian {

/// Appends a value as `to_text` writes it, without a tree in between: frames of many small
/// questions are mostly their JSON. `depth`: how many values it lies in. Throws
/// std::invalid_argument.
void append_text(std::string& out, const Json& value, int depth);
/// Appends a text in quotes, what JSON wants escaped. Invalid UTF-8 becomes U+FFFD.
void append_quoted(std::string& out, std::string_view text);

}  // namespace cambrian
