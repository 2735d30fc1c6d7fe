#pragma once

#include <string>
#include <string_view>

namespace cambrian::cli {

/// One of the two output streams.
struct Stream {
  bool is_terminal = false;
  bool has_color = false;
};

/// What can be shown where.
struct Terminal {
  Stream out;
  Stream err;
  int columns = 80;  ///< Of stdout; 0 where it is not a terminal: no line is cut then.
};

/// How large stdout's terminal is now; 0 where it is none.
struct TerminalSize {
  int columns = 0;
  int rows = 0;
};
TerminalSize terminal_size();

/// Whether a stream shows colours. `option` is --color: auto, always or never. `NO_COLOR` (not
/// empty) and TERM=dumb turn colours off, FORCE_COLOR and CLICOLOR_FORCE turn them on.
bool wants_color(std::string_view option, bool is_terminal);

/// Looks at stdout, stderr and the environment.
Terminal detect_terminal(std::string_view color_option);

/// `text` in an ANSI style such as "1;31" (bold red), or as it is.
std::string styled(std::string_view text, std::string_view style, bool has_color);

}  // namespace cambrian::cli
