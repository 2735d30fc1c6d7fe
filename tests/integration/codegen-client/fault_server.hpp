#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace cambrian::codegen::test {

/// A request as it came over the wire.
struct Request {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  ///< Names in lower case.
  std::string body;
};

/// What is written back, byte for byte.
struct Script {
  std::vector<std::string> pieces;
  std::chrono::milliseconds pause{0};  ///< Before each piece but the first.
  bool keeps_open = true;              ///< For the next request; else the connection is closed.
  std::chrono::milliseconds hold{0};   ///< Silence behind the last piece.
};

/// An HTTP server that does exactly what a test tells it, on a free loopback port: broken replies
/// cannot be had from a real one. A thread for each connection.
class FaultServer {
 public:
  using Handler = std::function<Script(const Request&)>;

  explicit FaultServer(Handler handler);
  ~FaultServer();

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::vector<Request> requests() const;
  int connections() const { return connections_; }

 private:
  void accept();
  void serve(boost::asio::ip::tcp::socket& socket);
  bool write(boost::asio::ip::tcp::socket& socket, const Script& script);
  void pause(std::chrono::milliseconds duration);

  Handler handler_;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  int port_ = 0;
  std::atomic<int> connections_ = 0;
  std::atomic<bool> is_stopping_ = false;
  mutable std::mutex mutex_;  // Guards everything below.
  std::vector<Request> requests_;
  std::list<boost::asio::ip::tcp::socket> sockets_;
  std::list<std::jthread> threads_;
  std::jthread acceptor_thread_;
};

/// A reply with Content-Length.
Script http(int status, const std::string& body, const std::string& headers = "");
/// A 200 with a complete chat completion.
Script completion(const std::string& content, const std::string& reason = "stop",
                  int prompt_tokens = 20);
/// A streamed 200 of these events, without an end: add `[DONE]` where it is wanted.
Script event_stream(const std::vector<std::string>& events);
/// One event with a piece of the answer.
std::string delta(const std::string& content, const std::string& reason = "");

}  // namespace cambrian::codegen::test
