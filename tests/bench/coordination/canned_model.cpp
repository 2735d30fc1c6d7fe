#include "tests/bench/coordination/canned_model.hpp"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <cctype>
#include <nlohmann/json.hpp>

namespace cambrian::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t kRequestBytesMax = 4 * 1024 * 1024;

/// The length that the head tells, whatever the case of its letters; 0 without one.
std::size_t content_length(std::string head) {
  std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::string_view kName = "content-length:";
  const auto place = head.find(kName);
  return place == std::string::npos ? 0 : std::stoul(head.substr(place + kName.size()));
}

}  // namespace

CannedModel::CannedModel()
    : acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      port_(acceptor_.local_endpoint().port()),
      acceptor_thread_([this] { accept(); }) {}

CannedModel::~CannedModel() {
  is_stopping_ = true;
  boost::system::error_code ignored;
  // A connection of our own ends the accept that blocks.
  tcp::socket waker(context_);
  waker.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port_), ignored);
  acceptor_thread_.join();
  {
    const std::lock_guard lock(mutex_);
    for (auto& socket : sockets_) socket.shutdown(tcp::socket::shutdown_both, ignored);
  }
  threads_.clear();
}

void CannedModel::accept() {
  while (!is_stopping_) {
    boost::system::error_code error;
    tcp::socket socket = acceptor_.accept(error);
    if (error || is_stopping_) return;
    socket.set_option(tcp::no_delay(true), error);
    const std::lock_guard lock(mutex_);
    tcp::socket& kept = sockets_.emplace_back(std::move(socket));
    threads_.emplace_back([this, &kept] { serve(kept); });
  }
}

void CannedModel::serve(tcp::socket& socket) {
  std::string buffer;
  boost::system::error_code error;
  while (!is_stopping_) {
    const auto head =
        asio::read_until(socket, asio::dynamic_buffer(buffer, kRequestBytesMax), "\r\n\r\n", error);
    if (error) return;
    const auto all = std::min(kRequestBytesMax, head + content_length(buffer.substr(0, head)));
    if (buffer.size() < all) {
      asio::read(socket, asio::dynamic_buffer(buffer), asio::transfer_exactly(all - buffer.size()),
                 error);
      if (error) return;
    }
    buffer.erase(0, all);
    asio::write(socket, asio::buffer(answer(all)), error);
    if (error) return;
  }
}

std::string CannedModel::answer(std::size_t request_bytes) {
  const auto number = std::to_string(++answers_);
  const auto content = "File: answer.cpp\n```cpp\n// EVOLVE-BLOCK-START\nint answer() { return " +
                       number + "; }\n// EVOLVE-BLOCK-END\n```\n";
  const nlohmann::json body = {
      {"id", number},
      {"object", "chat.completion"},
      {"model", "canned"},
      {"choices",
       {{{"index", 0},
         {"message", {{"role", "assistant"}, {"content", content}}},
         {"finish_reason", "stop"}}}},
      // More than any estimate of the prompt: a smaller count would look like a cut prompt.
      {"usage",
       {{"prompt_tokens", request_bytes},
        {"completion_tokens", 30},
        {"total_tokens", request_bytes + 30}}}};
  const auto text = body.dump();
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(text.size()) + "\r\n\r\n" + text;
}

}  // namespace cambrian::bench
