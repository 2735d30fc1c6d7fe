#include "common/rpc/status.hpp"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace cambrian::rpc {
namespace {

// Message and details travel in the trailing metadata of a call, of which gRPC takes 8 KiB: more,
// and the caller sees RESOURCE_EXHAUSTED instead of the error. The message goes there twice, once
// with three bytes for each that is not ASCII, and the details with four for three.
constexpr std::size_t kStatusTextBytesMax = 768;
constexpr std::size_t kDetailsBytesMax = 3'000;
constexpr std::size_t kFieldBytesMax = 256;
constexpr std::size_t kDescriptionBytesMax = 512;

/// At most so many bytes, cut between characters.
std::string shortened(const std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t size = bytes_max - 3;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
  return text.substr(0, size) + "...";
}

/// Takes entries while they fit. Returns how many were left out.
template <class Entries, class Add>
std::size_t add_while_room(const Entries& entries, std::size_t& room, Add add) {
  std::size_t added = 0;
  for (const auto& entry : entries) {
    const std::size_t size = add(entry, room);
    if (size == 0) break;
    room -= size;
    ++added;
  }
  return entries.size() - added;
}

google::rpc::BadRequest bad_request_of(const std::vector<FieldViolation>& violations,
                                       std::size_t& room) {
  google::rpc::BadRequest bad_request;
  const auto left_out = add_while_room(violations, room, [&](const auto& one, std::size_t left) {
    auto* added = bad_request.add_field_violations();
    added->set_field(shortened(one.field, kFieldBytesMax));
    added->set_description(shortened(one.description, kDescriptionBytesMax));
    const std::size_t size = added->ByteSizeLong() + 4;
    if (size <= left) return size;
    bad_request.mutable_field_violations()->RemoveLast();
    return std::size_t{0};
  });
  if (left_out > 0) {
    bad_request.add_field_violations()->set_description("and " + std::to_string(left_out) +
                                                        " problems more");
  }
  return bad_request;
}

google::rpc::PreconditionFailure failure_of(const std::vector<std::string>& missing_blobs,
                                            std::size_t& room) {
  google::rpc::PreconditionFailure failure;
  // Who uploads these, or asks with FindMissingBlobs, hears of the rest.
  add_while_room(missing_blobs, room, [&](const auto& digest, std::size_t left) {
    auto* added = failure.add_violations();
    added->set_type("MISSING_BLOB");
    added->set_subject(digest);
    added->set_description("upload this content first");
    const std::size_t size = added->ByteSizeLong() + 4;
    if (size <= left) return size;
    failure.mutable_violations()->RemoveLast();
    return std::size_t{0};
  });
  return failure;
}

Errc to_errc(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE: return Errc::invalid_argument;
    case grpc::StatusCode::NOT_FOUND: return Errc::not_found;
    case grpc::StatusCode::ALREADY_EXISTS: return Errc::already_exists;
    case grpc::StatusCode::FAILED_PRECONDITION: return Errc::conflict;
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED: return Errc::denied;
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return Errc::exhausted;
    case grpc::StatusCode::UNAVAILABLE: return Errc::unavailable;
    case grpc::StatusCode::DEADLINE_EXCEEDED: return Errc::deadline_exceeded;
    case grpc::StatusCode::CANCELLED: return Errc::cancelled;
    case grpc::StatusCode::ABORTED: return Errc::outcome_unknown;
    default: return Errc::internal;
  }
}

void add_details(google::rpc::Status& status, const Details& details) {
  if (!details.reason.empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(details.reason);
    info.set_domain("cambrian");
    for (const auto& [key, value] : details.metadata) (*info.mutable_metadata())[key] = value;
    status.add_details()->PackFrom(info);
  }
  std::size_t room = kDetailsBytesMax;
  if (!details.field_violations.empty()) {
    status.add_details()->PackFrom(bad_request_of(details.field_violations, room));
  }
  if (!details.missing_blobs.empty()) {
    status.add_details()->PackFrom(failure_of(details.missing_blobs, room));
  }
  if (details.retry_delay) {
    google::rpc::RetryInfo retry;
    const auto milliseconds = details.retry_delay->count();
    retry.mutable_retry_delay()->set_seconds(milliseconds / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(milliseconds % 1000) * 1'000'000);
    status.add_details()->PackFrom(retry);
  }
}

grpc::Status make_status(grpc::StatusCode code, const std::string& text, const Details& details) {
  const auto message = shortened(text, kStatusTextBytesMax);
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  add_details(status, details);
  if (status.details().empty()) return {code, message};
  return {code, message, status.SerializeAsString()};
}

void read_detail(const google::protobuf::Any& any, Details& details) {
  if (google::rpc::ErrorInfo info; any.UnpackTo(&info)) {
    details.reason = info.reason();
    details.metadata = {info.metadata().begin(), info.metadata().end()};
  } else if (google::rpc::BadRequest bad_request; any.UnpackTo(&bad_request)) {
    for (const auto& violation : bad_request.field_violations()) {
      details.field_violations.push_back({violation.field(), violation.description()});
    }
  } else if (google::rpc::PreconditionFailure failure; any.UnpackTo(&failure)) {
    for (const auto& violation : failure.violations()) {
      if (violation.type() == "MISSING_BLOB") details.missing_blobs.push_back(violation.subject());
    }
  } else if (google::rpc::RetryInfo retry; any.UnpackTo(&retry)) {
    details.retry_delay = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::seconds(retry.retry_delay().seconds()) +
        std::chrono::nanoseconds(retry.retry_delay().nanos()));
  }
}

}  // namespace

grpc::StatusCode to_code(Errc code) {
  switch (code) {
    case Errc::invalid_argument: return grpc::StatusCode::INVALID_ARGUMENT;
    case Errc::not_found: return grpc::StatusCode::NOT_FOUND;
    case Errc::already_exists: return grpc::StatusCode::ALREADY_EXISTS;
    case Errc::conflict: return grpc::StatusCode::FAILED_PRECONDITION;
    case Errc::denied: return grpc::StatusCode::PERMISSION_DENIED;
    case Errc::exhausted: return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Errc::unavailable: return grpc::StatusCode::UNAVAILABLE;
    case Errc::deadline_exceeded: return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Errc::cancelled: return grpc::StatusCode::CANCELLED;
    case Errc::outcome_unknown: return grpc::StatusCode::ABORTED;
    case Errc::internal: return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

grpc::Status to_status(const Error& error, const Details& details) {
  return make_status(to_code(error.code), error.message, details);
}

grpc::Status to_refusal(grpc::StatusCode code, const std::string& message, const Details& details) {
  return make_status(code, message, details);
}

Error from_status(const grpc::Status& status) {
  return {to_errc(status.error_code()), status.error_message()};
}

Details details_of(const grpc::Status& status) {
  Details details;
  google::rpc::Status message;
  if (!message.ParseFromString(status.error_details())) return details;
  for (const auto& any : message.details()) read_detail(any, details);
  return details;
}

bool is_retryable(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::RESOURCE_EXHAUSTED ||
         code == grpc::StatusCode::ABORTED || code == grpc::StatusCode::DEADLINE_EXCEEDED;
}

}  // namespace cambrian::rpc
