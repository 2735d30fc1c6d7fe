#pragma once

#include <chrono>
#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

/// Structured log lines on stderr, one per event:
/// `ts=2026-01-31T12:00:00.123Z level=info event=lease_granted item=42 worker=w3`.
///
/// Event names are stable and in the past tense. Never log prompts, sources or secrets: log their
/// size and digest. Any thread may log.
namespace cambrian::log {

enum class Level { debug, info, warn, error };

/// One `key=value`. Values with blanks, quotes or control characters are quoted and escaped.
struct Field {
  std::string_view key;
  std::string value;

  Field(std::string_view name, std::string_view text) : key(name), value(text) {}
  Field(std::string_view name, const char* text) : key(name), value(text) {}
  Field(std::string_view name, const std::string& text) : key(name), value(text) {}
  Field(std::string_view name, bool flag) : key(name), value(flag ? "true" : "false") {}
  template <std::integral T>
  Field(std::string_view name, T number) : key(name), value(std::to_string(number)) {}
  Field(std::string_view name, double number);
  /// Printed in whole milliseconds; end the key with `_ms`.
  Field(std::string_view name, std::chrono::nanoseconds duration)
      : Field(name, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()) {}
};

/// Lines below this level are dropped. Default info. The environment variable CAMBRIAN_LOG (debug,
/// info, warn, error) wins. Call it at the start of main.
void set_level(Level level);

/// The level of a word of CAMBRIAN_LOG; info for any other word, which must not silence errors.
Level level_of(std::string_view word);

void write(Level level, std::string_view event, std::initializer_list<Field> fields);

/// Off by default.
inline void debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::debug, event, fields);
}
/// A change of state.
inline void info(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::info, event, fields);
}
/// Something went wrong and was handled.
inline void warn(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::warn, event, fields);
}
/// Somebody must look.
inline void error(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::error, event, fields);
}

/// The line without time stamp and level, as `write` prints it: for tests.
std::string format_line(std::string_view event, std::initializer_list<Field> fields);

}  // namespace cambrian::log
