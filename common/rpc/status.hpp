#pragma once

#include <grpcpp/support/status.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/error.hpp"

/// The one mapping between our errors and gRPC's.
namespace cambrian::rpc {

/// Reason of a refusal that passes by itself: the details say when.
inline constexpr const char* kTooManyCalls = "TOO_MANY_CALLS";

/// A field of a request that is not acceptable, by its path: `spec.budget.evaluations`.
struct FieldViolation {
  std::string field;
  std::string description;
};

/// What travels beside code and message as google.rpc details.
struct Details {
  std::string reason;  ///< ErrorInfo.reason in UPPER_SNAKE_CASE. Empty: none.
  std::map<std::string, std::string> metadata;
  std::vector<FieldViolation> field_violations;
  std::vector<std::string> missing_blobs;  ///< PreconditionFailure of type MISSING_BLOB.
  std::optional<std::chrono::milliseconds> retry_delay;
};

inline constexpr const char* kLeaseLost = "LEASE_LOST";

grpc::StatusCode to_code(Errc code);

/// The status of an error. Long messages are cut, and of long lists in the details only the first
/// entries travel: all of it must fit into the 8 KiB of a call's trailing metadata.
grpc::Status to_status(const Error& error, const Details& details = {});

/// UNAUTHENTICATED or PERMISSION_DENIED, which come up in one place only, where calls come in. As
/// `to_status`.
grpc::Status to_refusal(grpc::StatusCode code, const std::string& message,
                        const Details& details = {});

/// The error behind a status that is not OK.
Error from_status(const grpc::Status& status);

/// The details of a status; empty where there are none or they cannot be read.
Details details_of(const grpc::Status& status);

/// True for UNAVAILABLE, RESOURCE_EXHAUSTED, ABORTED and DEADLINE_EXCEEDED: an idempotent call may
/// be sent again after a while.
bool is_retryable(grpc::StatusCode code);

}  // namespace cambrian::rpc
