#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "codegen-client/domain/proposal.hpp"
#include "common/base/result.hpp"

namespace cambrian::codegen {

/// Limits of an endpoint that hold for all clients together. Zero: no such limit.
struct SharedLimits {
  std::string group{};  ///< Who shares them.
  double requests_per_minute = 0;
  double tokens_per_minute = 0;
  int parallel = 0;
};

/// A request that is about to be sent, with the most that it may take.
struct CallIntent {
  std::string model{};
  std::string endpoint{};
  std::string prompt_digest{};
  std::int64_t prompt_tokens = 0;  ///< Estimate.
  std::int64_t output_tokens = 0;
  std::int64_t cost_micro_usd = 0;
  SharedLimits limits{};
};

/// Keeps every request on record outside of this process before it is sent: a crash in between
/// then counts as spent, with an unknown outcome. Grants places within the limits that clients
/// share. One for each proposal. Blocking; any thread; never throws.
class CallLedger {
 public:
  virtual ~CallLedger() = default;

  /// Waits until the request may be sent; returns its number. Errors: cancelled when stopped or
  /// when the proposal is no longer ours; exhausted when there was no place for too long;
  /// unavailable when it could not be put on record. Nothing may be sent then.
  virtual Result<int> begin(const CallIntent& intent, std::stop_token stop) = 0;

  /// The request has ended. `record` holds what it alone took. `pause`: the endpoint lets nobody in
  /// for so long. What goes wrong here is only logged.
  virtual void end(int number, const CallRecord& record,
                   std::optional<std::chrono::milliseconds> pause) = 0;
};

}  // namespace cambrian::codegen
