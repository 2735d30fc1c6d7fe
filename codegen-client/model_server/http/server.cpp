#include "codegen-client/model_server/http/server.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <charconv>

#include "common/log/log.hpp"

namespace cambrian::codemodel {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kRequestIdBytesMax = 128;
/// Pause after a failed accept: out of descriptors does not get better by asking at once.
constexpr std::chrono::milliseconds kAcceptPause{100};

void log_end(const std::exception_ptr& failure, const char* event) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    log::error(event, {{"error", error.what()}});
  }
}

std::string request_id(const http::request<http::string_body>& request, const HttpReply& reply) {
  const std::string given(request["x-request-id"]);
  const bool is_usable =
      !given.empty() && given.size() <= kRequestIdBytesMax &&
      std::all_of(given.begin(), given.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (is_usable) return given;
  static std::uint64_t count = 0;  // One thread; names requests in the client's log only.
  return "req-" + std::to_string(++count) + "-" + std::to_string(reply.status);
}

template <class Message>
void set_fields(Message& message, const HttpReply& reply, const std::string& id) {
  message.set(http::field::server, "cambrian-codemodel");
  message.set(http::field::content_type, reply.content_type);
  message.set("x-request-id", id);
  if (reply.is_streamed) message.set(http::field::cache_control, "no-cache");
  for (const auto& [name, value] : reply.headers) message.set(name, value);
}

asio::awaitable<void> pause(std::chrono::milliseconds duration) {
  if (duration.count() == 0) co_return;
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(kAwait);
}

/// One piece of a chunked body. An empty one would end it.
asio::awaitable<bool> write_chunk(beast::tcp_stream* stream, std::string piece) {
  if (piece.empty()) co_return true;
  const auto [error, bytes] = co_await asio::async_write(
      *stream, http::make_chunk(asio::const_buffer(piece.data(), piece.size())), kAwait);
  co_return !error;
}

/// The pointer belongs to the connection, which outlives the call.
asio::awaitable<bool> write_stream(beast::tcp_stream* stream, HttpReply reply, std::string id,
                                   bool keeps_alive, std::chrono::seconds idle) {
  http::response<http::empty_body> head(static_cast<http::status>(reply.status), 11);
  set_fields(head, reply, id);
  head.chunked(true);
  head.keep_alive(keeps_alive);
  http::response_serializer<http::empty_body> serializer(head);
  stream->expires_after(idle);
  const auto [error, bytes] = co_await http::async_write_header(*stream, serializer, kAwait);
  if (error) co_return false;
  const std::size_t middle = reply.pieces.size() / 2;
  for (std::size_t i = 0; i < reply.pieces.size(); ++i) {
    if (i == middle) {
      if (reply.is_cut) co_return false;
      co_await pause(reply.delay_inside);
    }
    stream->expires_after(idle);
    if (!co_await write_chunk(stream, std::move(reply.pieces[i]))) co_return false;
  }
  const auto [last_error, last_bytes] =
      co_await asio::async_write(*stream, http::make_chunk_last(), kAwait);
  co_return !last_error && keeps_alive;
}

/// The pointer belongs to the connection, which outlives the call.
asio::awaitable<bool> write_whole(beast::tcp_stream* stream, HttpReply reply, std::string id,
                                  bool keeps_alive, std::chrono::seconds idle) {
  http::response<http::string_body> response(static_cast<http::status>(reply.status), 11);
  set_fields(response, reply, id);
  for (const std::string& piece : reply.pieces) response.body() += piece;
  response.keep_alive(keeps_alive);
  response.prepare_payload();
  stream->expires_after(idle);
  if (!reply.is_cut && reply.delay_inside.count() == 0) {
    const auto [error, bytes] = co_await http::async_write(*stream, response, kAwait);
    co_return !error && keeps_alive;
  }
  // A fault: the head promises more than what comes, or comes soon.
  const std::string body = std::move(response.body());
  response.body().clear();
  http::response<http::empty_body> head(std::move(response.base()));
  http::response_serializer<http::empty_body> serializer(head);
  const auto [error, bytes] = co_await http::async_write_header(*stream, serializer, kAwait);
  if (error) co_return false;
  co_await asio::async_write(*stream, asio::buffer(body.data(), body.size() / 2), kAwait);
  if (reply.is_cut) co_return false;
  co_await pause(reply.delay_inside);
  stream->expires_after(idle);
  const auto [rest_error, rest] = co_await asio::async_write(
      *stream, asio::buffer(body.data() + body.size() / 2, body.size() - body.size() / 2), kAwait);
  co_return !rest_error && keeps_alive;
}

HttpReply refusal(int status, std::string message, std::string code) {
  const bool is_ours = status >= 500;
  return error_reply({.status = status,
                      .message = std::move(message),
                      .type = is_ours ? "server_error" : "invalid_request_error",
                      .param = std::nullopt,
                      .code = std::move(code)});
}

}  // namespace

HttpServer::HttpServer(asio::io_context& context, ChatService& service, Limits limits)
    : context_(context), service_(service), limits_(limits), acceptor_(context) {}

Result<std::string> HttpServer::listen(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) {
    return fail(Errc::invalid_argument, "listen address is not HOST:PORT: " + address);
  }
  std::uint16_t port = 0;
  const char* end = address.data() + address.size();
  const auto [rest, parse_error] = std::from_chars(address.data() + colon + 1, end, port);
  beast::error_code error;
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  const auto ip = asio::ip::make_address(host, error);
  if (error || parse_error != std::errc{} || rest != end) {
    return fail(Errc::invalid_argument, "listen address is not IP:PORT: " + address);
  }
  const tcp::endpoint endpoint(ip, port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(Errc::unavailable, "cannot listen on " + address + ": " + error.message());
  asio::co_spawn(context_, accept(),
                 [](const std::exception_ptr& failure) { log_end(failure, "accepting_failed"); });
  const auto bound = acceptor_.local_endpoint();
  return address.substr(0, colon) + ":" + std::to_string(bound.port());
}

void HttpServer::stop() {
  if (is_stopping_) return;
  is_stopping_ = true;
  beast::error_code ignored;
  acceptor_.close(ignored);
  for (Connection* connection : connections_) {
    if (!connection->is_busy) connection->stream.cancel();
  }
  if (connections_.empty()) return;
  asio::co_spawn(context_, close_late(),
                 [](const std::exception_ptr& failure) { log_end(failure, "draining_failed"); });
}

asio::awaitable<void> HttpServer::close_late() {
  constexpr std::chrono::milliseconds kPoll{20};
  const auto deadline = std::chrono::steady_clock::now() + limits_.drain;
  while (!connections_.empty() && std::chrono::steady_clock::now() < deadline) {
    co_await pause(kPoll);
  }
  if (!connections_.empty()) {
    log::warn("connections_cut", {{"count", connections_.size()}});
    context_.stop();
  }
}

asio::awaitable<void> HttpServer::accept() {
  while (!is_stopping_) {
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (is_stopping_) co_return;
    if (error) {
      log::warn("accept_failed", {{"error", error.message()}});
      co_await pause(kAcceptPause);
      continue;
    }
    beast::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    start(std::make_shared<Connection>(std::move(socket)));
  }
}

void HttpServer::start(std::shared_ptr<Connection> connection) {
  Connection* const place = connection.get();
  const bool is_full = connections_.size() >= limits_.connections_max;
  connections_.insert(place);
  auto work = is_full ? reject(std::move(connection)) : serve(std::move(connection));
  asio::co_spawn(context_, std::move(work), [this, place](const std::exception_ptr& failure) {
    connections_.erase(place);
    log_end(failure, "connection_failed");
  });
}

asio::awaitable<void> HttpServer::reject(std::shared_ptr<Connection> connection) {
  log::warn("connection_refused", {{"limit", limits_.connections_max}});
  HttpReply reply = refusal(503, "too many connections", "server_overloaded");
  reply.headers.emplace_back("retry-after", "1");
  co_await write_whole(&connection->stream, std::move(reply), "none", false, limits_.idle);
}

asio::awaitable<void> HttpServer::serve(std::shared_ptr<Connection> connection) {
  Stream& stream = connection->stream;
  beast::flat_buffer buffer;
  bool goes_on = true;
  while (goes_on && !is_stopping_) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(limits_.body_bytes_max);
    parser.header_limit(limits_.header_bytes_max);
    connection->is_busy = false;
    stream.expires_after(limits_.idle);
    const auto [error, bytes] = co_await http::async_read(stream, buffer, parser, kAwait);
    connection->is_busy = true;
    const http::request<http::string_body>& request = parser.get();
    HttpReply reply;
    bool keeps_alive = request.keep_alive() && !is_stopping_;
    if (error == http::error::body_limit) {
      reply =
          refusal(413, "body is larger than " + std::to_string(limits_.body_bytes_max) + " bytes",
                  "request_too_large");
      keeps_alive = false;
    } else if (error == http::error::header_limit) {
      reply = refusal(431, "the header is too large", "header_too_large");
      keeps_alive = false;
    } else if (error && error.category() == http::make_error_code(http::error{}).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      reply = refusal(400, "not an HTTP request: " + error.message(), "bad_http");
      keeps_alive = false;
    } else if (error) {
      break;
    } else {
      const std::string target(request.target());
      reply = service_.handle({.method = std::string(request.method_string()),
                               .path = target.substr(0, target.find('?')),
                               .body = request.body(),
                               .now = std::chrono::duration_cast<std::chrono::seconds>(
                                          std::chrono::system_clock::now().time_since_epoch())
                                          .count()});
    }
    const std::string id = request_id(request, reply);
    log::debug(
        "request_answered",
        {{"path", std::string_view(request.target())}, {"status", reply.status}, {"request", id}});
    co_await pause(reply.delay_before);
    if (reply.is_streamed) {
      goes_on = co_await write_stream(&stream, std::move(reply), id, keeps_alive, limits_.idle);
    } else {
      goes_on = co_await write_whole(&stream, std::move(reply), id, keeps_alive, limits_.idle);
    }
  }
  beast::error_code ignored;
  stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace cambrian::codemodel
