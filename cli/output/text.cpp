#include "cli/output/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace cambrian::cli {
namespace {

template <class... Values>
std::string printf_text(const char* format, Values... values) {
  std::array<char, 64> buffer{};
  const int size = std::snprintf(buffer.data(), buffer.size(), format, values...);
  return {buffer.data(), static_cast<std::size_t>(std::clamp(size, 0, 63))};
}

/// Digits behind the point that show two of the interval: more would say nothing about the mean.
/// None for an exact value, or one that is better written with an exponent.
std::optional<int> decimals_for(double half) {
  constexpr double kSmallest = 1e-7;
  if (!(half > kSmallest)) return std::nullopt;
  return std::max(0, 1 - static_cast<int>(std::floor(std::log10(half))));
}

}  // namespace

std::string format_number(double value) {
  if (value == 0) return "0";
  // %g would write 123456 as 1.2346e+05: whole numbers of a usual size are written out.
  if (value == std::floor(value) && std::abs(value) < 1e12) return printf_text("%.0f", value);
  return printf_text("%.5g", value);
}

std::string format_estimate(double mean, double half) {
  const auto decimals = decimals_for(half);
  return decimals ? printf_text("%.*f ±%.*f", *decimals, mean, *decimals, half)
                  : format_number(mean) + printf_text(" ±%.2g", half);
}

std::string format_delta(double value, double half) {
  const auto decimals = decimals_for(half);
  return decimals ? printf_text("%+.*f", *decimals, value) : format_delta(value);
}

std::string format_delta(double value) { return (value >= 0 ? "+" : "") + format_number(value); }

std::string format_fields(const std::vector<Field>& fields) {
  constexpr std::size_t kFieldGap = 2;
  std::size_t width = 12;
  for (const Field& field : fields) width = std::max(width, field.name.size());
  std::string text;
  for (const Field& field : fields) {
    if (field.value.empty()) continue;
    text +=
        field.name + std::string(width + kFieldGap - field.name.size(), ' ') + field.value + "\n";
  }
  return text;
}

std::string format_optional(std::optional<double> value) {
  return value ? format_number(*value) : "-";
}

std::string format_count(std::int64_t value) {
  const auto number = static_cast<double>(value);
  if (value < 1000) return std::to_string(value);
  if (value < 1'000'000) return printf_text("%.3gk", std::floor(number / 10) / 100);
  return printf_text("%.4gM", std::floor(number / 1e4) / 100);
}

std::string format_duration(std::chrono::milliseconds duration) {
  const auto total = std::max<std::int64_t>(duration.count(), 0);
  if (total > 0 && total < 100) return std::to_string(total) + "ms";
  if (total < 10'000) return printf_text("%.1fs", static_cast<double>(total) / 1000);
  const std::int64_t seconds = total / 1000;
  const auto two = [](std::int64_t a, const char* unit_a, std::int64_t b, const char* unit_b) {
    return b == 0 ? std::to_string(a) + unit_a
                  : std::to_string(a) + unit_a + std::to_string(b) + unit_b;
  };
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return two(seconds / 60, "m", seconds % 60, "s");
  if (seconds < 86400) return two(seconds / 3600, "h", seconds % 3600 / 60, "m");
  return two(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

std::string format_cost(std::int64_t micro_usd) {
  return printf_text(micro_usd != 0 && micro_usd < 10'000 ? "$%.4f" : "$%.2f",
                     static_cast<double>(micro_usd) / 1e6);
}

std::string format_age(const google::protobuf::Timestamp& time,
                       std::chrono::system_clock::time_point now) {
  if (time.seconds() == 0) return "-";
  const auto then = std::chrono::system_clock::time_point(std::chrono::seconds(time.seconds()));
  return format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(now - then));
}

std::chrono::milliseconds to_milliseconds(const google::protobuf::Duration& duration) {
  return std::chrono::milliseconds(duration.seconds() * 1000 + duration.nanos() / 1'000'000);
}

double to_seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) / 1e9;
}

std::string short_enum(const std::string& name, const std::string& prefix) {
  std::string result = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  if (result == "UNSPECIFIED") return "-";
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

}  // namespace cambrian::cli
