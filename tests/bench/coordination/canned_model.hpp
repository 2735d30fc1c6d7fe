#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace cambrian::bench {

/// Answers every request for a completion at once with a program that nobody had before. The
/// OpenAI-compatible protocol over HTTP/1.1, as much of it as the codegen client needs.
class CannedModel {
 public:
  CannedModel();
  ~CannedModel();
  CannedModel(const CannedModel&) = delete;
  CannedModel& operator=(const CannedModel&) = delete;

  std::string base_url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::int64_t answers() const { return answers_; }

 private:
  using Socket = boost::asio::ip::tcp::socket;
  void accept();
  void serve(Socket& socket);
  std::string answer(std::size_t request_bytes);

  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  unsigned short port_;
  std::atomic<bool> is_stopping_ = false;
  std::atomic<std::int64_t> answers_ = 0;
  std::mutex mutex_;  // Guards sockets_.
  std::list<Socket> sockets_;
  std::list<std::jthread> threads_;  // Only the acceptor's thread adds to it.
  std::jthread acceptor_thread_;     // Last: it uses everything above.
};

}  // namespace cambrian::bench
