#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "common/base/result.hpp"
#include "coordinator/ports/work.hpp"

namespace cambrian::coordinator {

using boost::asio::awaitable;

/// Limits of an endpoint that all clients keep together. Zero: no such limit.
struct CallLimits {
  std::string group;  ///< Who shares them. Empty: nobody keeps any.
  double requests_per_minute = 0;
  double tokens_per_minute = 0;
  int parallel = 0;
};

/// One sending of a call, by its number within the attempt.
struct CallKey {
  std::string agent_id;
  Lease lease;
  int number = 0;
};

/// A call that is about to be sent. `call` holds the most that it may take.
struct CallBegin {
  CallKey key;
  ModelCall call;
  CallLimits limits;
};

struct CallEnd {
  CallKey key;
  ModelCall call;
  milliseconds pause{0};  ///< Nobody of its group calls before this has passed.
};

struct CallGrant {
  bool is_lease_lost = false;
  milliseconds wait{0};  ///< Zero: on record. Else nothing was noted.
};

/// Calls of models that are under way, so that none is forgotten and that clients keep to limits
/// together. All times are the database's. Any executor; never blocks the caller. Every method may
/// fail with `unavailable`, `exhausted` or `deadline_exceeded`.
class CallStore {
 public:
  virtual ~CallStore() = default;

  /// Idempotent.
  virtual awaitable<Result<CallGrant>> begin(CallBegin begin) = 0;

  /// Idempotent. A call that is not on record any more is no error: it has been reported.
  virtual awaitable<Status> end(CallEnd end) = 0;
};

}  // namespace cambrian::coordinator
