#include "tests/bench/chaos/link.hpp"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <string_view>

namespace cambrian::bench {
namespace {

namespace asio = boost::asio;
using Socket = asio::generic::stream_protocol::socket;
using std::chrono::milliseconds;

constexpr std::size_t kPieceBytes = 64 * 1024;
/// How often a session looks whether a black hole is over.
constexpr milliseconds kLookInterval{10};
/// A simple query message of PostgreSQL: 'Q', length, "COMMIT", zero.
constexpr std::string_view kCommit(
    "Q\0\0\0\x0b"
    "COMMIT\0",
    12);

}  // namespace

/// One connection of a client and the one to the server behind it.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Link& link, Socket client, Socket server)
      : link_(link), client_(std::move(client)), server_(std::move(server)) {}

  void start() {
    const auto ended = [self = shared_from_this()](const std::exception_ptr&) { self->end(); };
    asio::co_spawn(link_.context_, run(this, Direction::to_server), ended);
    asio::co_spawn(link_.context_, run(this, Direction::to_client), ended);
  }

  void end() {
    boost::system::error_code ignored;
    client_.close(ignored);
    server_.close(ignored);
    link_.sessions_.erase(shared_from_this());
  }

 private:
  enum class Direction { to_server, to_client };

  bool is_held(Direction direction) const {
    return link_.mode_ == LinkMode::blackhole ||
           (link_.mode_ == LinkMode::swallow && direction == Direction::to_client);
  }

  /// Before what was read, or the end, is handed on. The session lives until its callback ran.
  static asio::awaitable<void> wait(Session* self, Direction direction) {
    asio::steady_timer timer(self->link_.context_);
    if (self->link_.mode_ == LinkMode::delay) {
      timer.expires_after(self->link_.delay_);
      co_await timer.async_wait(asio::use_awaitable);
    }
    while (self->is_held(direction) && self->client_.is_open()) {
      timer.expires_after(kLookInterval);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  /// Decided before the bytes go on: the answer must not be faster.
  void look_for_commit(std::string_view text) {
    if (link_.commits_to_lose_ <= 0 || text.find(kCommit) == std::string_view::npos) return;
    --link_.commits_to_lose_;
    ++link_.commits_lost_;
    is_losing_ = true;
  }

  static asio::awaitable<void> run(Session* self, Direction direction) {
    const bool is_to_server = direction == Direction::to_server;
    Socket& from = is_to_server ? self->client_ : self->server_;
    Socket& to = is_to_server ? self->server_ : self->client_;
    std::array<char, kPieceBytes> piece{};
    while (true) {
      boost::system::error_code error;
      const auto size = co_await from.async_read_some(
          asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
      co_await wait(self, direction);
      // The answer to the commit is here: the server is done, and the client never hears of it.
      if (error || (!is_to_server && self->is_losing_)) co_return;
      if (is_to_server) self->look_for_commit({piece.data(), size});
      co_await asio::async_write(to, asio::buffer(piece.data(), size), asio::use_awaitable);
    }
  }

  Link& link_;
  Socket client_;
  Socket server_;
  bool is_losing_ = false;
};

Link::Link(asio::io_context& context, const asio::ip::tcp::endpoint& listen, Endpoint target)
    : context_(context), acceptor_(context, listen), target_(std::move(target)) {
  accept();
}

void Link::set(LinkMode mode, milliseconds delay) {
  mode_ = mode;
  delay_ = delay;
  if (mode == LinkMode::refuse) cut();
}

void Link::cut() {
  for (const auto sessions = sessions_; const auto& session : sessions) session->end();
}

void Link::accept() {
  acceptor_.async_accept([this](boost::system::error_code error, asio::ip::tcp::socket client) {
    if (!error && mode_ != LinkMode::refuse) {
      client.set_option(asio::ip::tcp::no_delay(true), error);
      auto server = std::make_shared<Socket>(context_);  // Shared with the callback alone.
      server->async_connect(
          target_,
          [this, server, client = std::make_shared<Socket>(std::move(client))](auto failure) {
            if (failure || mode_ == LinkMode::refuse) return;
            auto session = std::make_shared<Session>(*this, std::move(*client), std::move(*server));
            sessions_.insert(session);
            session->start();
          });
    }
    accept();
  });
}

}  // namespace cambrian::bench
