#pragma once

#include <span>
#include <string>
#include <string_view>

namespace cambrian::config {

/// A place in a text file. Lines and columns count from 1; columns and widths are bytes.
struct Place {
  int line = 0;  ///< 0: the place is not known.
  int column = 0;
  int width = 1;  ///< How many bytes the caret line underlines.

  friend bool operator==(const Place&, const Place&) = default;
};

/// One thing that is wrong with a file that a person wrote.
struct Problem {
  std::string path;     ///< Field path such as `budget.evaluations`; empty for the file itself.
  Place place;          ///< Where it is.
  std::string message;  ///< What is wrong, without a full stop.
  std::string fix;      ///< What would be right; may be empty.

  friend bool operator==(const Problem&, const Problem&) = default;
};

/// How problems are printed.
struct RenderOptions {
  bool color = false;     ///< ANSI colours.
  int problems_max = 50;  ///< The others are only counted.
};

/// The problems in the order of their places, each with the line above it, the line itself and a
/// caret line. Ends with a newline. `text` is what was read from `file_name`.
std::string render_problems(std::string_view file_name, std::string_view text,
                            std::span<const Problem> problems, RenderOptions options = {});

}  // namespace cambrian::config
