#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "codegen-client/model_server/chat/service.hpp"
#include "common/base/result.hpp"

namespace cambrian::codemodel {

/// HTTP/1.1 in front of a ChatService: keep-alive, chunked streams, limits, draining.
///
/// Everything runs on the one thread of the io_context. The server must live until the context
/// has run out of work after `stop`.
class HttpServer {
 public:
  struct Limits {
    std::uint64_t body_bytes_max = 8U * 1024 * 1024;
    std::uint32_t header_bytes_max = 16U * 1024;
    std::size_t connections_max = 512;  ///< Later ones get 503.
    /// A connection that says nothing, or a client that does not read, for so long is closed.
    std::chrono::seconds idle{120};
    std::chrono::seconds drain{5};  ///< What replies under way have after `stop`.
  };

  HttpServer(boost::asio::io_context& context, ChatService& service, Limits limits);

  /// Binds `host:port` (port 0 takes a free one) and accepts from then on. Returns `host:port` as
  /// bound. Errors: invalid_argument for a wrong address, unavailable when it cannot be had.
  Result<std::string> listen(const std::string& address);

  /// Accepts no more, closes idle connections at once and the others when their reply is out, at
  /// the latest after `Limits::drain`.
  void stop();

 private:
  using Stream = boost::beast::tcp_stream;

  struct Connection {
    explicit Connection(boost::asio::ip::tcp::socket socket) : stream(std::move(socket)) {}
    Stream stream;
    bool is_busy = false;
  };

  // The shared_ptr keeps a connection alive for its coroutine; the set only sees who is there.
  boost::asio::awaitable<void> accept();
  boost::asio::awaitable<void> serve(std::shared_ptr<Connection> connection);
  boost::asio::awaitable<void> reject(std::shared_ptr<Connection> connection);
  boost::asio::awaitable<void> close_late();
  void start(std::shared_ptr<Connection> connection);

  boost::asio::io_context& context_;
  ChatService& service_;
  Limits limits_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::set<Connection*> connections_;
  bool is_stopping_ = false;
};

}  // namespace cambrian::codemodel
