#pragma once

#include <grpcpp/support/server_callback.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <utility>

#include "common/log/log.hpp"

namespace cambrian::rpc {

/// Answers a unary call by a coroutine: the reaction returns at once, the coroutine runs on
/// `executor`, and its status finishes the call exactly once, whatever it throws. Request and
/// response belong to gRPC and live until then: the coroutine may point to them.
template <class Executor>
grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, const Executor& executor,
                                 boost::asio::awaitable<grpc::Status> handler) {
  auto* reactor = context->DefaultReactor();
  boost::asio::co_spawn(executor, std::move(handler),
                        [reactor](const std::exception_ptr& failure, grpc::Status status) {
                          if (!failure) return reactor->Finish(std::move(status));
                          try {
                            std::rethrow_exception(failure);
                          } catch (const std::exception& error) {
                            log::error("handler_threw", {{"what", error.what()}});
                          }
                          reactor->Finish({grpc::StatusCode::INTERNAL, "internal error"});
                        });
  return reactor;
}

}  // namespace cambrian::rpc
