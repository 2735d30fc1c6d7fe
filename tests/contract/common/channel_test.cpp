#include "common/rpc/channel.hpp"

#include <grpcpp/server.h>
#include <grpcpp/server_posix.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "common/rpc/security.hpp"

namespace cambrian::rpc {
namespace {

using namespace std::chrono_literals;

/// A port of this machine that connections come up to, and nobody says a word.
class SilentPort {
 public:
  SilentPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(socket_, 8) == 0);
    REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentPort() { ::close(socket_); }
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// The first connection, or -1 after 3 s.
  int accept() const {
    pollfd waiting{socket_, POLLIN, 0};
    if (::poll(&waiting, 1, 3000) != 1) return -1;
    return ::accept4(socket_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  }

 private:
  int socket_;
  int port_ = 0;
};

TEST_CASE("channel: a server that takes a second to say its first word is waited for",
          "[contract][rpc]") {
  const SilentPort port;
  agent::v1::AgentService::Service service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  REQUIRE(server);
  const auto channel = make_channel(port.address());
  channel->GetState(true);
  std::this_thread::sleep_for(1s);
  // Had the first connection been given up, nobody would be at its other end.
  const int connection = port.accept();
  REQUIRE(connection >= 0);
  grpc::AddInsecureChannelFromFd(server.get(), connection);
  CHECK(channel->WaitForConnected(std::chrono::system_clock::now() + 3s));
  server->Shutdown();
}

TEST_CASE("channel: a silent address costs seconds, then the next one is used", "[contract][rpc]") {
  const SilentPort port;
  agent::v1::AgentService::Service service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  int second = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &second);
  const auto server = builder.BuildAndStart();
  REQUIRE(server);
  const auto channel =
      make_channel(port.address() + ",127.0.0.1:" + std::to_string(second), ChannelSecurity{});
  REQUIRE(channel);
  CHECK((*channel)->WaitForConnected(std::chrono::system_clock::now() + 10s));
  server->Shutdown();
}

}  // namespace
}  // namespace cambrian::rpc
