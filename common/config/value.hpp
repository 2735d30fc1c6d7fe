#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cambrian::config {

/// Whole number in decimal, with an optional sign. Nothing for anything else or out of range.
std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<std::uint64_t> parse_unsigned(std::string_view text);

/// Finite decimal number, or a share in percent: `0.25`, `1e-3`, `25%`.
std::optional<double> parse_double(std::string_view text);

/// Whole number of bytes: `4096`, `64KiB`, `1.5GiB`, `10MB`. Nothing where the product is not whole
/// or out of range.
std::optional<std::int64_t> parse_bytes(std::string_view text);

/// Nanoseconds of `90s`, `10m`, `1h30m`, `1.5h`, `250ms`, `2d`. A unit is required; negative values
/// are not accepted. Nothing above 10,000 days.
std::optional<std::int64_t> parse_duration_ns(std::string_view text);

/// Text that parse_duration_ns reads back: `1h30m`, `250ms`, `0s`.
std::string format_duration_ns(std::int64_t nanoseconds);

}  // namespace cambrian::config
