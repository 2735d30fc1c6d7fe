#include "codegen-client/domain/retry.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "codegen-client/domain/text.hpp"

namespace cambrian::codegen {
namespace {

std::optional<std::string_view> find_header(const Headers& headers, const char* name) {
  const auto found = headers.find(name);
  if (found == headers.end()) return std::nullopt;
  return trim(found->second);
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

/// Longer waits are as good as this one, and fit the type.
constexpr double kWaitMillisecondsMax = 1e12;

std::optional<Milliseconds> to_wait(double milliseconds) {
  if (!(milliseconds > 0)) return std::nullopt;
  return Milliseconds(
      static_cast<std::int64_t>(std::ceil(std::min(milliseconds, kWaitMillisecondsMax))));
}

std::optional<int> parse_digits(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::optional<UtcTime> parse_http_date(std::string_view text) {
  // "Sun, 06 Nov 1994 08:49:37 GMT": every part has its place.
  constexpr std::size_t kLength = 29;
  if (text.size() != kLength || !text.ends_with(" GMT") || text.substr(3, 2) != ", ") return {};
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  const auto day = parse_digits(text.substr(5, 2));
  const auto year = parse_digits(text.substr(12, 4));
  const auto hour = parse_digits(text.substr(17, 2));
  const auto minute = parse_digits(text.substr(20, 2));
  const auto second = parse_digits(text.substr(23, 2));
  if (month == kMonths.end() || !day || !year || !hour || !minute || !second) return {};
  const std::chrono::year_month_day date(
      std::chrono::year(*year),
      std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
      std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return {};
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::optional<Milliseconds> parse_retry_after(const Headers& headers, UtcTime now) {
  if (const auto text = find_header(headers, "retry-after-ms")) {
    if (const auto number = parse_number(*text)) return to_wait(*number);
  }
  const auto text = find_header(headers, "retry-after");
  if (!text) return std::nullopt;
  if (const auto seconds = parse_number(*text)) return to_wait(*seconds * 1000);
  const auto date = parse_http_date(*text);
  if (!date || *date <= now) return std::nullopt;
  return *date - now;
}

std::optional<bool> parse_should_retry(const Headers& headers) {
  const auto text = find_header(headers, "x-should-retry");
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::optional<Milliseconds> retry_delay(const CallFailure& failure, int retries_done,
                                        int retries_max, Rng& rng) {
  if (retries_done >= std::min(retries_max, kRetriesMax)) return std::nullopt;
  if (failure.kind == FailureKind::no_quota || failure.kind == FailureKind::cancelled) {
    return std::nullopt;
  }
  const bool is_transient =
      failure.kind == FailureKind::rate_limited || failure.kind == FailureKind::server ||
      failure.kind == FailureKind::connect || failure.kind == FailureKind::timed_out ||
      failure.kind == FailureKind::cut || failure.kind == FailureKind::malformed;
  if (!failure.should_retry.value_or(is_transient)) return std::nullopt;
  if (failure.retry_after) {
    if (*failure.retry_after > kRetryAfterMax) return std::nullopt;
    return failure.retry_after;
  }
  Milliseconds wait = kBackoffFirst;
  for (int i = 0; i < retries_done && wait < kBackoffMax; ++i) wait *= 2;
  return Milliseconds(static_cast<std::int64_t>(
      static_cast<double>(std::min(wait, kBackoffMax).count()) * rng.uniform()));
}

}  // namespace cambrian::codegen
