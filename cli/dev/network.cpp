#include "cli/dev/network.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>

namespace cambrian::cli::dev {
namespace {

std::optional<sockaddr_in> parse_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string host = address.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  const long port = std::strtol(address.c_str() + colon + 1, nullptr, 10);
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(static_cast<std::uint16_t>(port));
  if (port < 0 || port > 65535 || inet_pton(AF_INET, host.c_str(), &result.sin_addr) != 1) {
    return std::nullopt;
  }
  return result;
}

/// Binds for a moment; the address that it got, with its port, or nothing.
std::optional<std::string> try_bind(const std::string& address) {
  auto name = parse_address(address);
  if (!name) return std::nullopt;
  const int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0) return std::nullopt;
  // As the servers do: a port whose old connections are still fading away counts as free.
  const int on = 1;
  setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  socklen_t size = sizeof *name;
  // NOLINTBEGIN(cppcoreguidelines-pro-type-reinterpret-cast): the interface of the kernel.
  const bool is_bound = bind(file, reinterpret_cast<sockaddr*>(&*name), size) == 0 &&
                        listen(file, 1) == 0 &&
                        getsockname(file, reinterpret_cast<sockaddr*>(&*name), &size) == 0;
  // NOLINTEND(cppcoreguidelines-pro-type-reinterpret-cast)
  close(file);
  if (!is_bound) return std::nullopt;
  return address.substr(0, address.rfind(':') + 1) + std::to_string(ntohs(name->sin_port));
}

struct HostAndPort {
  std::string host;
  std::string port;
};

HostAndPort parse_url(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t start = scheme == std::string::npos ? 0 : scheme + 3;
  const std::string authority = url.substr(start, url.find('/', start) - start);
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string::npos) return {authority.substr(0, colon), authority.substr(colon + 1)};
  return {authority, url.starts_with("https") ? "443" : "80"};
}

}  // namespace

bool is_free(const std::string& address) { return try_bind(address).has_value(); }

std::string free_address(const std::string& preferred) {
  if (const auto bound = try_bind(preferred)) return *bound;
  return try_bind("127.0.0.1:0").value_or("127.0.0.1:0");
}

bool accepts_connections(const std::string& url, std::chrono::milliseconds timeout) {
  const HostAndPort target = parse_url(url);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found) != 0) return false;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int file = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file < 0) continue;
    const bool is_begun = connect(file, one->ai_addr, one->ai_addrlen) == 0 || errno == EINPROGRESS;
    pollfd waiting{file, POLLOUT, 0};
    int error = 0;
    socklen_t size = sizeof error;
    const bool is_open = is_begun && poll(&waiting, 1, static_cast<int>(timeout.count())) == 1 &&
                         getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
    close(file);
    if (is_open) return true;
  }
  return false;
}

}  // namespace cambrian::cli::dev
