#include "cli/dev/network.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
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

}  // namespace

bool is_free(const std::string& address) { return try_bind(address).has_value(); }

std::string free_address(const std::string& preferred) {
  if (const auto bound = try_bind(preferred)) return *bound;
  return try_bind("127.0.0.1:0").value_or("127.0.0.1:0");
}

}  // namespace cambrian::cli::dev
