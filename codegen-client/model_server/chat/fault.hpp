#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace cambrian::codemodel {

/// A way to misbehave, for the tests of clients. Asked for by the name of the model.
enum class FaultKind {
  status,           ///< `fault-503`: this status, from 400 to 599, with an error body.
  rate_limit,       ///< `fault-429`, `fault-429-date`, `fault-429-long`: with Retry-After.
  quota,            ///< `fault-429-quota`: insufficient_quota, no use to retry.
  slow,             ///< `fault-slow`: the first byte comes after kSlowDelay.
  stall,            ///< `fault-stall`: half of the answer, then nothing for kStallDelay.
  cut,              ///< `fault-cut`: half of the answer, then the connection closes.
  error_in_200,     ///< `fault-error-in-200`: status 200 with an error body.
  error_in_stream,  ///< `fault-error-in-stream`: an error event in the middle of the stream.
  garbage,          ///< `fault-garbage`: status 200 with a page of HTML.
  truncated,        ///< `fault-truncated`: half of the answer, finish_reason length.
  reasoning,        ///< `fault-reasoning`: thoughts in reasoning_content and in <think>.
  empty,            ///< `fault-empty`: content null.
  filtered,         ///< `fault-filtered`: finish_reason content_filter.
  no_usage,         ///< `fault-no-usage`: the reply has no usage.
};

struct Fault {
  FaultKind kind = FaultKind::status;
  int status = 500;
  std::string retry_after;  ///< Value of the header; empty: none.
  /// Only the first so many requests misbehave (`fault-503:2`); negative: all.
  int times = -1;
};

inline constexpr std::chrono::milliseconds kSlowDelay{3000};
inline constexpr std::chrono::milliseconds kStallDelay{30000};

/// The fault that a model's name asks for; nothing for other names.
std::optional<Fault> parse_fault(std::string_view model);

/// Counts the requests of faults that end: one object for the life of the server.
class FaultCounter {
 public:
  /// True while this request is still to misbehave.
  bool is_due(const std::string& model, const Fault& fault);

 private:
  static constexpr std::size_t kNamesMax = 1024;
  std::map<std::string, int> seen_;
};

}  // namespace cambrian::codemodel
