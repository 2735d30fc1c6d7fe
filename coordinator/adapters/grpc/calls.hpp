#pragma once

#include <grpcpp/server_context.h>

#include <boost/asio/any_io_executor.hpp>
#include <mutex>

#include "common/metrics/metrics.hpp"
#include "common/rpc/unary.hpp"
#include "coordinator/adapters/grpc/convert.hpp"

namespace cambrian::coordinator::wire {

/// Runs the handlers of all services on the app's thread, and counts and times every call.
class Calls {
 public:
  Calls(boost::asio::any_io_executor executor, metrics::Registry& registry)
      : executor_(std::move(executor)), registry_(registry) {}

  const boost::asio::any_io_executor& executor() const { return executor_; }

  /// The reactor of a unary call. `method` is a literal.
  grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, const char* method,
                                   awaitable<grpc::Status> handler) {
    return rpc::answer(context, executor_, counted(method, std::move(handler)));
  }

  /// The handler, observed.
  awaitable<grpc::Status> counted(const char* method, awaitable<grpc::Status> handler);

 private:
  boost::asio::any_io_executor executor_;
  metrics::Registry& registry_;
};

/// The status of an error of ours; with a delay after which to try again where that helps.
grpc::Status status_of(const Error& error);

/// INVALID_ARGUMENT with a field path for each problem.
grpc::Status status_of(const Problems& problems);

}  // namespace cambrian::coordinator::wire
