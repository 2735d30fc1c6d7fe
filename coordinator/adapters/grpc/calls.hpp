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

  /// Runs the handler of a stream on the app's thread; its status finishes the stream, whatever it
  /// throws. `Stream` is a reactor that lives until then.
  template <class Stream>
  void serve(Stream* stream, const char* method, awaitable<grpc::Status> handler) {
    boost::asio::co_spawn(executor_, counted(method, std::move(handler)),
                          [stream](const std::exception_ptr& failure, grpc::Status status) {
                            if (failure) status = rpc::status_of_failure(failure);
                            stream->Finish(std::move(status));
                          });
  }

  /// The handler, observed.
  awaitable<grpc::Status> counted(const char* method, awaitable<grpc::Status> handler);

 private:
  boost::asio::any_io_executor executor_;
  metrics::Registry& registry_;
};

/// Overrides a unary method of a service by a coroutine: `handler` is a call of it with `request`
/// and `response`, which are gRPC's and live until Finish. The service has `Calls& calls_`.
#define CAMBRIAN_UNARY(package, Method, handler)                                     \
  grpc::ServerUnaryReactor* Method(                                                  \
      grpc::CallbackServerContext* context, const package::Method##Request* request, \
      [[maybe_unused]] package::Method##Response* response) override {               \
    return calls_.answer(context, #Method, handler);                                 \
  }

/// The status of an error of ours; with a delay after which to try again where that helps.
grpc::Status status_of(const Error& error);

/// INVALID_ARGUMENT with a field path for each problem.
grpc::Status status_of(const Problems& problems);

}  // namespace cambrian::coordinator::wire
