#include "coordinator/adapters/grpc/calls.hpp"

#include <array>
#include <chrono>

namespace cambrian::coordinator::wire {
namespace {

constexpr milliseconds kRetryDelay{1'000};

std::string name_of(grpc::StatusCode code) {
  static constexpr std::array<const char*, 17> kNames = {"OK",
                                                         "CANCELLED",
                                                         "UNKNOWN",
                                                         "INVALID_ARGUMENT",
                                                         "DEADLINE_EXCEEDED",
                                                         "NOT_FOUND",
                                                         "ALREADY_EXISTS",
                                                         "PERMISSION_DENIED",
                                                         "RESOURCE_EXHAUSTED",
                                                         "FAILED_PRECONDITION",
                                                         "ABORTED",
                                                         "OUT_OF_RANGE",
                                                         "UNIMPLEMENTED",
                                                         "INTERNAL",
                                                         "UNAVAILABLE",
                                                         "DATA_LOSS",
                                                         "UNAUTHENTICATED"};
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "UNKNOWN";
}

}  // namespace

awaitable<grpc::Status> Calls::counted(const char* method, awaitable<grpc::Status> handler) {
  const auto begin = std::chrono::steady_clock::now();
  auto status = co_await std::move(handler);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  registry_
      .histogram("cambrian_coordinator_rpc_duration_seconds",
                 "Time to answer a call, waits for work included", metrics::duration_buckets(),
                 {{"method", method}, {"code", name_of(status.error_code())}})
      .observe(time.count());
  co_return status;
}

grpc::Status status_of(const Error& error) {
  rpc::Details details;
  if (error.code == Errc::unavailable || error.code == Errc::exhausted ||
      error.code == Errc::outcome_unknown || error.code == Errc::deadline_exceeded) {
    details.retry_delay = kRetryDelay;
  }
  return rpc::to_status(error, details);
}

grpc::Status status_of(const Problems& problems) {
  rpc::Details details;
  details.field_violations = problems;
  std::string message = "invalid request";
  for (const auto& problem : problems) {
    message += "; " + problem.field + ": " + problem.description;
    if (message.size() > 1024) break;
  }
  return rpc::to_status({Errc::invalid_argument, message}, details);
}

}  // namespace cambrian::coordinator::wire
