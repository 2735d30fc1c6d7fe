#pragma once

#include <cstddef>
#include <string_view>

namespace cambrian {

/// Length of the well-formed UTF-8 sequence at the start of `text` (Unicode 15, table 3-7); 0 where
/// there is none: overlong forms, surrogates and what lies beyond U+10FFFF are not UTF-8.
std::size_t utf8_sequence_length(std::string_view text);

/// True where the whole text is UTF-8: protobuf, JSON and PostgreSQL take nothing else.
bool is_valid_utf8(std::string_view text);

/// The longest part from the start that has at most `bytes_max` bytes and ends between two
/// characters.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);

}  // namespace cambrian
