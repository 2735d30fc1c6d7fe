#pragma once

#include <grpcpp/support/server_callback.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <utility>

#include "common/log/log.hpp"

namespace cambrian::rpc {

/// The status of a handler that threw: logged, and told to nobody else.
inline grpc::Status status_of_failure(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    log::error("handler_threw", {{"what", error.what()}});
  } catch (...) {
    log::error("handler_threw", {{"what", "not an exception"}});
  }
  return {grpc::StatusCode::INTERNAL, "internal error"};
}

/// Answers a unary call by a coroutine: the reaction returns at once, the coroutine runs on
/// `executor`, and its status finishes the call exactly once, whatever it throws. Request and
/// response belong to gRPC and live until then: the coroutine may point to them.
template <class Executor>
grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, const Executor& executor,
                                 boost::asio::awaitable<grpc::Status> handler) {
  auto* reactor = context->DefaultReactor();
  boost::asio::co_spawn(executor, std::move(handler),
                        [reactor](const std::exception_ptr& failure, grpc::Status status) {
                          if (failure) status = status_of_failure(failure);
                          reactor->Finish(std::move(status));
                        });
  return reactor;
}

}  // namespace cambrian::rpc
