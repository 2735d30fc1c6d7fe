#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "codegen-client/domain/chat.hpp"
#include "common/base/rng.hpp"

/// When a request is sent again. Pure; any thread.
namespace cambrian::codegen {

using Milliseconds = std::chrono::milliseconds;
/// The world's clock: only for dates in headers.
using UtcTime = std::chrono::sys_time<Milliseconds>;

/// Header names in lower case.
using Headers = std::map<std::string, std::string>;

/// A longer wait than this is not worth a lease: the failure is reported instead.
inline constexpr Milliseconds kRetryAfterMax{120'000};
inline constexpr Milliseconds kBackoffFirst{500};
inline constexpr Milliseconds kBackoffMax{8'000};
inline constexpr int kRetriesMax = 10;

/// The wait that a reply asks for: `retry-after-ms`, else `retry-after` in seconds (with a
/// fraction) or as an HTTP date (RFC 9110, IMF-fixdate). Nothing for what cannot be read or lies
/// in the past.
std::optional<Milliseconds> parse_retry_after(const Headers& headers, UtcTime now);

/// `x-should-retry: true` or `false`.
std::optional<bool> parse_should_retry(const Headers& headers);

/// The time of `Sun, 06 Nov 1994 08:49:37 GMT`.
std::optional<UtcTime> parse_http_date(std::string_view text);

/// How long to wait before the request is sent again, or nothing when it must not be.
/// `retries_done` sendings came after the first one. The server's wish wins; then 408, 409, 429,
/// 5xx, and failures of the connection are retried. A wait that the server names is kept to. Else
/// waits are anything from nothing up to a bound that doubles from 0.5 s to 8 s: full jitter, since
/// many clients meet one limit at once and must not come back at once. Source: the official client,
/// openai-python `_base_client.py`, except for the jitter (there 0.75 to 1), and that an empty
/// account is never asked again.
std::optional<Milliseconds> retry_delay(const CallFailure& failure, int retries_done,
                                        int retries_max, Rng& rng);

}  // namespace cambrian::codegen
