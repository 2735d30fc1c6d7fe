#include "common/config/value.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace cambrian::config {
namespace {

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A plain decimal number at the start of `text`, which is then cut off. No sign.
std::optional<double> take_decimal(std::string_view& text) {
  if (text.empty() || ((text[0] < '0' || text[0] > '9') && text[0] != '.')) return std::nullopt;
  double value = 0;
  // Without an exponent: in `2e` of a unit it would not be one.
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(value)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 9> kByteUnits{{{"B", 1},
                                          {"KiB", 1024.0},
                                          {"MiB", 1048576.0},
                                          {"GiB", 1073741824.0},
                                          {"TiB", 1099511627776.0},
                                          {"kB", 1e3},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9}}};
constexpr double kBytesMax = 9.0e18;

/// `ms` stands before `m`: the first unit that fits is taken.
constexpr std::array<Unit, 7> kTimeUnits{
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}};
constexpr double kDurationMaxNs = 10'000.0 * 86400e9;

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
  return parse_whole<std::int64_t>(text);
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
  return parse_whole<std::uint64_t>(text);
}

std::optional<double> parse_double(std::string_view text) {
  const bool is_percent = text.ends_with('%');
  if (is_percent) text.remove_suffix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return is_percent ? value / 100 : value;
}

std::optional<std::int64_t> parse_bytes(std::string_view text) {
  if (const auto whole = parse_integer(text)) return whole;
  const auto number = take_decimal(text);
  if (!number) return std::nullopt;
  if (text.starts_with(' ')) text.remove_prefix(1);
  for (const Unit& unit : kByteUnits) {
    if (text != unit.name) continue;
    const double bytes = *number * unit.factor;
    if (bytes > kBytesMax || bytes != std::floor(bytes)) return std::nullopt;
    return static_cast<std::int64_t>(bytes);
  }
  return std::nullopt;
}

std::optional<std::int64_t> parse_duration_ns(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double sum = 0;
  while (!text.empty()) {
    const auto number = take_decimal(text);
    if (!number) return std::nullopt;
    const Unit* found = nullptr;
    for (const Unit& unit : kTimeUnits) {
      if (text.starts_with(unit.name)) {
        found = &unit;
        break;
      }
    }
    if (found == nullptr) return std::nullopt;
    text.remove_prefix(found->name.size());
    sum += *number * found->factor;
    if (sum > kDurationMaxNs) return std::nullopt;
  }
  return std::llround(sum);
}

std::string format_duration_ns(std::int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  std::string result = nanoseconds < 0 ? "-" : "";
  std::int64_t rest = std::abs(nanoseconds);
  for (const auto& [name, factor] :
       std::array<std::pair<const char*, std::int64_t>, 4>{{{"h", 3600'000'000'000},
                                                            {"m", 60'000'000'000},
                                                            {"s", 1'000'000'000},
                                                            {"ms", 1'000'000}}}) {
    if (rest >= factor) {
      result += std::to_string(rest / factor) + name;
      rest %= factor;
    }
  }
  if (rest > 0) result += std::to_string(rest) + "ns";
  return result;
}

}  // namespace cambrian::config
