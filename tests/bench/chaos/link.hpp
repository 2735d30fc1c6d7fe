#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <set>
#include <string>

namespace cambrian::bench {

/// What a link does to what passes.
enum class LinkMode {
  pass,
  refuse,     ///< Every connection is closed, new ones too.
  delay,      ///< Every piece waits.
  blackhole,  ///< Nothing passes either way, the end of a connection neither; it comes later.
  swallow,    ///< The same, but only for what the server answers.
};

class Session;

/// Accepts connections on a TCP address and hands them on to a server, TCP or Unix. Single thread.
class Link {
 public:
  using Endpoint = boost::asio::generic::stream_protocol::endpoint;

  Link(boost::asio::io_context& context, const boost::asio::ip::tcp::endpoint& listen,
       Endpoint target);

  void set(LinkMode mode, std::chrono::milliseconds delay);
  /// Closes the connections that there are.
  void cut();
  /// So many of the next COMMITs that pass lose their answers, and their connections.
  void lose_commits(int count) { commits_to_lose_ += count; }
  int commits_lost() const { return commits_lost_; }

 private:
  friend class Session;
  void accept();

  boost::asio::io_context& context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  Endpoint target_;
  LinkMode mode_ = LinkMode::pass;
  std::chrono::milliseconds delay_{0};
  int commits_to_lose_ = 0;
  int commits_lost_ = 0;
  std::set<std::shared_ptr<Session>> sessions_;  // Each is shared with its own callbacks.
};

}  // namespace cambrian::bench
