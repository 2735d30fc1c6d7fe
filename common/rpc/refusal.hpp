#pragma once

#include "common/rpc/status.hpp"

namespace cambrian::rpc {

/// UNAUTHENTICATED or PERMISSION_DENIED: none of our own errors, for it comes up in one place only,
/// where calls come in. With `Details` as `to_status`.
grpc::Status to_refusal(grpc::StatusCode code, const std::string& message,
                        const Details& details = {});

/// True for a call that was refused because of who made it.
inline bool is_refusal(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAUTHENTICATED || code == grpc::StatusCode::PERMISSION_DENIED;
}

}  // namespace cambrian::rpc
