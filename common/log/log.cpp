#include "common/log/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <format>

namespace cambrian::log {
namespace {

// Longer values are cut: a log line is for people.
constexpr std::size_t kValueBytesMax = 4096;

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

const char* name_of(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warn";
    case Level::error: return "error";
  }
  return "info";
}

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_logger_mt("cambrian");
    made->set_pattern("ts=%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc);
    made->flush_on(spdlog::level::debug);
    const char* wanted = std::getenv("CAMBRIAN_LOG");
    made->set_level(to_spdlog(wanted == nullptr ? Level::info : level_of(wanted)));
    return made;
  }();
  return *instance;
}

void append_value(std::string& line, std::string_view value) {
  const bool is_plain = !value.empty() && std::ranges::all_of(value, [](char c) {
    return c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
  });
  if (is_plain && value.size() <= kValueBytesMax) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value.substr(0, kValueBytesMax)) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      line += std::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      line += c;
    }
  }
  if (value.size() > kValueBytesMax) line += "...";
  line += '"';
}

}  // namespace

Field::Field(std::string_view name, double number)
    : key(name), value(std::format("{:.6g}", number)) {}

Level level_of(std::string_view word) {
  for (const Level level : {Level::debug, Level::warn, Level::error}) {
    if (word == name_of(level)) return level;
  }
  return Level::info;
}

void set_level(Level level) {
  if (std::getenv("CAMBRIAN_LOG") == nullptr) logger().set_level(to_spdlog(level));
}

std::string format_line(std::string_view event, std::initializer_list<Field> fields) {
  std::string line = "event=";
  line += event;
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  return line;
}

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  const auto spd_level = to_spdlog(level);
  if (!logger().should_log(spd_level)) return;
  logger().log(spd_level, "level={} {}", name_of(level), format_line(event, fields));
}

}  // namespace cambrian::log
