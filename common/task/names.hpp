#pragma once

#include <string_view>

namespace cambrian::task {

/// Name of a task or campaign: lower case letters, digits and dashes, 1 to 63, a letter or digit at
/// both ends.
bool is_resource_name(std::string_view text);

/// Name of a metric, parameter or data source: a letter, then letters, digits, `_`, `.` and `-`, at
/// most 63.
bool is_identifier(std::string_view text);

/// A path inside a folder: at most 200 bytes, parts of letters, digits and `._+-=@,`, none of them
/// empty, `.`, `..` or beginning with `-`.
bool is_inner_path(std::string_view text);

}  // namespace cambrian::task
