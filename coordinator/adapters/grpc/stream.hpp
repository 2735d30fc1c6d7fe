#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

namespace cambrian::coordinator::wire {

/// A server stream that a coroutine writes to. It owns itself: gRPC's OnDone, which comes after
/// Finish and all writes, deletes it. The coroutine calls `Finish` last, exactly once.
template <class Response>
class WriteStream final : public grpc::ServerWriteReactor<Response> {
 public:
  /// `executor` runs the coroutine.
  explicit WriteStream(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// Sends one message and waits until the next may be sent. False: the caller is gone.
  boost::asio::awaitable<bool> write(Response response) {
    response_ = std::move(response);
    co_return co_await boost::asio::async_initiate<decltype(boost::asio::use_awaitable),
                                                   void(bool)>(
        [this](auto handler) {
          handler_ = std::move(handler);
          this->StartWrite(&response_);
        },
        boost::asio::use_awaitable);
  }

  bool is_cancelled() const { return is_cancelled_; }

 private:
  void OnWriteDone(bool is_ok) override {
    auto handler = std::move(handler_);
    boost::asio::post(
        executor_, [handler = std::move(handler), is_ok]() mutable { std::move(handler)(is_ok); });
  }
  void OnCancel() override { is_cancelled_ = true; }
  void OnDone() override { std::unique_ptr<WriteStream> self(this); }

  boost::asio::any_io_executor executor_;
  Response response_;
  boost::asio::any_completion_handler<void(bool)> handler_;
  std::atomic<bool> is_cancelled_ = false;
};

}  // namespace cambrian::coordinator::wire
