#include "cli/output/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace cambrian::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

bool is_on(const char* name) {
  const std::string_view value = environment(name);
  return !value.empty() && value != "0";
}

}  // namespace

bool wants_color(std::string_view option, bool is_terminal) {
  if (option == "always") return true;
  if (option == "never" || !environment("NO_COLOR").empty()) return false;
  if (is_on("FORCE_COLOR") || is_on("CLICOLOR_FORCE")) return true;
  return is_terminal && environment("TERM") != "dumb";
}

Terminal detect_terminal(std::string_view color_option) {
  Terminal terminal;
  terminal.out.is_terminal = isatty(STDOUT_FILENO) == 1;
  terminal.err.is_terminal = isatty(STDERR_FILENO) == 1;
  terminal.out.has_color = wants_color(color_option, terminal.out.is_terminal);
  terminal.err.has_color = wants_color(color_option, terminal.err.is_terminal);
  if (!terminal.out.is_terminal) {
    terminal.columns = 0;
  } else if (const TerminalSize size = terminal_size(); size.columns > 0) {
    terminal.columns = size.columns;
  }
  return terminal;
}

TerminalSize terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_col, size.ws_row};
}

std::string styled(std::string_view text, std::string_view style, bool has_color) {
  if (!has_color || text.empty()) return std::string(text);
  return "\x1b[" + std::string(style) + "m" + std::string(text) + "\x1b[0m";
}

}  // namespace cambrian::cli
