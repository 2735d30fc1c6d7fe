#include "tests/integration/codegen-client/fault_server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <nlohmann/json.hpp>
#include <sstream>

#include "codegen-client/domain/text.hpp"

namespace cambrian::codegen::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using nlohmann::json;

}  // namespace

FaultServer::FaultServer(Handler handler)
    : handler_(std::move(handler)),
      acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      port_(acceptor_.local_endpoint().port()),
      acceptor_thread_([this] { accept(); }) {}

FaultServer::~FaultServer() {
  is_stopping_ = true;
  boost::system::error_code ignored;
  // A connection of our own ends the accept that blocks.
  tcp::socket waker(context_);
  waker.connect(tcp::endpoint(asio::ip::address_v4::loopback(), static_cast<unsigned short>(port_)),
                ignored);
  acceptor_thread_.join();
  {
    const std::lock_guard lock(mutex_);
    for (auto& socket : sockets_) socket.shutdown(tcp::socket::shutdown_both, ignored);
  }
  threads_.clear();
}

std::vector<Request> FaultServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FaultServer::accept() {
  while (!is_stopping_) {
    boost::system::error_code error;
    tcp::socket socket = acceptor_.accept(error);
    if (error || is_stopping_) return;
    ++connections_;
    const std::lock_guard lock(mutex_);
    tcp::socket& kept = sockets_.emplace_back(std::move(socket));
    threads_.emplace_back([this, &kept] { serve(kept); });
  }
}

void FaultServer::serve(tcp::socket& socket) {
  std::string buffer;
  boost::system::error_code error;
  while (!is_stopping_) {
    const std::size_t head =
        asio::read_until(socket, asio::dynamic_buffer(buffer), "\r\n\r\n", error);
    if (error) break;
    Request request;
    std::istringstream lines(buffer.substr(0, head));
    lines >> request.method >> request.target;
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      const std::size_t colon = line.find(':');
      if (colon == std::string::npos) continue;
      request.headers[to_lower(line.substr(0, colon))] = trim(line.substr(colon + 1));
    }
    const auto length = request.headers.find("content-length");
    const std::size_t body = length == request.headers.end() ? 0 : std::stoul(length->second);
    const std::size_t missing = head + body - std::min(head + body, buffer.size());
    asio::read(socket, asio::dynamic_buffer(buffer), asio::transfer_exactly(missing), error);
    if (error) break;
    request.body = buffer.substr(head, body);
    buffer.erase(0, head + body);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (!write(socket, handler_(request))) break;
  }
  const std::lock_guard lock(mutex_);  // The destructor looks at the sockets too.
  socket.shutdown(tcp::socket::shutdown_both, error);
  socket.close(error);
}

bool FaultServer::write(tcp::socket& socket, const Script& script) {
  boost::system::error_code error;
  bool is_first = true;
  for (const std::string& piece : script.pieces) {
    if (!is_first) pause(script.pause);
    is_first = false;
    asio::write(socket, asio::buffer(piece), error);
    if (error || is_stopping_) return false;
  }
  pause(script.hold);
  return script.keeps_open;
}

void FaultServer::pause(std::chrono::milliseconds duration) {
  std::mutex mutex;
  std::condition_variable never_notified;
  std::unique_lock lock(mutex);
  const auto end = std::chrono::steady_clock::now() + duration;
  while (!is_stopping_ && std::chrono::steady_clock::now() < end) {
    never_notified.wait_for(lock, std::min(duration, std::chrono::milliseconds(50)));
  }
}

Script http(int status, const std::string& body, const std::string& headers) {
  return {.pieces = {"HTTP/1.1 " + std::to_string(status) + " Something\r\n" + headers +
                     "Content-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body}};
}

Script completion(const std::string& content, const std::string& reason, int prompt_tokens) {
  const json body = {{"id", "1"},
                     {"object", "chat.completion"},
                     {"model", "served-model"},
                     {"choices",
                      {{{"index", 0},
                        {"message", {{"role", "assistant"}, {"content", content}}},
                        {"finish_reason", reason}}}},
                     {"usage",
                      {{"prompt_tokens", prompt_tokens},
                       {"completion_tokens", 5},
                       {"total_tokens", prompt_tokens + 5}}}};
  return http(200, body.dump());
}

Script event_stream(const std::vector<std::string>& events) {
  Script script{.pieces = {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"},
                .keeps_open = false};
  for (const std::string& event : events) script.pieces.push_back("data: " + event + "\n\n");
  return script;
}

std::string delta(const std::string& content, const std::string& reason) {
  const json event = {{"object", "chat.completion.chunk"},
                      {"model", "served-model"},
                      {"choices",
                       {{{"index", 0},
                         {"delta", {{"content", content}}},
                         {"finish_reason", reason.empty() ? json() : json(reason)}}}}};
  return event.dump();
}

}  // namespace cambrian::codegen::test
