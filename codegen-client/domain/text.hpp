#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Small functions on text. Pure; any thread.
namespace cambrian::codegen {

/// The text with every byte that is not UTF-8 replaced by U+FFFD: what JSON and protobuf need.
std::string to_valid_utf8(std::string_view text);

/// At most `bytes_max` bytes, cut between characters.
std::string_view truncate_utf8(std::string_view text, std::size_t bytes_max);

/// Valid UTF-8 on one line of at most `bytes_max` bytes: control characters become blanks.
std::string to_one_line(std::string_view text, std::size_t bytes_max);

/// Head and tail with a note of what was left out, when the text is longer than `bytes_max`.
std::string shorten_middle(std::string_view text, std::size_t bytes_max);

/// The lines without their ends (LF or CRLF). A final newline does not begin another line.
std::vector<std::string_view> split_lines(std::string_view text);

/// Without blanks, tabs and line ends at both ends.
std::string_view trim(std::string_view text);
std::string_view trim_right(std::string_view text);

/// ASCII letters in lower case.
std::string to_lower(std::string_view text);

}  // namespace cambrian::codegen
