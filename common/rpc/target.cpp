#include "common/rpc/target.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "common/log/log.hpp"

namespace cambrian::rpc {
namespace {

constexpr int kPortMax = 65'535;

struct HostAndPort {
  std::string host;  ///< Without the brackets of an IPv6 address.
  std::string port;
};

/// One of several: each must be what can be looked up.
Result<HostAndPort> parse_address(std::string_view address) {
  const auto refuse = [address](const char* why) {
    return fail(Errc::invalid_argument, "one of several addresses of the coordinator " +
                                            std::string(why) + ": address=" + std::string(address));
  };
  if (address.starts_with("unix:")) return refuse("is a Unix socket, which must stand alone");
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return refuse("is not host:port");
  const auto port = address.substr(colon + 1);
  int number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number < 1 || number > kPortMax) {
    return refuse("has no port");
  }
  auto host = address.substr(0, colon);
  const bool is_bracketed = host.starts_with('[') && host.ends_with(']');
  if (is_bracketed) host = host.substr(1, host.size() - 2);
  if (!is_bracketed && host.find(':') != std::string_view::npos) {
    return refuse("needs brackets around its IPv6 address");
  }
  return HostAndPort{std::string(host), std::string(port)};
}

/// What a name stands for; empty when it is not known.
std::vector<sockaddr_storage> look_up(const HostAndPort& place) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  const int code = ::getaddrinfo(place.host.c_str(), place.port.c_str(), &hints, &raw);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(raw, &::freeaddrinfo);
  std::vector<sockaddr_storage> found;
  if (code != 0) {
    log::warn("address_not_found", {{"host", place.host}, {"cause", ::gai_strerror(code)}});
    return found;
  }
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
    const auto* bytes = reinterpret_cast<const char*>(one->ai_addr);
    sockaddr_storage address{};
    std::copy_n(bytes, one->ai_addrlen, reinterpret_cast<char*>(&address));
    found.push_back(address);
  }
  return found;
}

/// `1.2.3.4:5`, or where `is_wide` `[::ffff:1.2.3.4]:5`: gRPC takes lists of one family alone.
std::string text_of(const sockaddr_storage& address, bool is_wide) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& narrow = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &narrow.sin_addr, text, sizeof text);
    const auto port = ":" + std::to_string(ntohs(narrow.sin_port));
    return is_wide ? "[::ffff:" + std::string(text) + "]" + port : text + port;
  }
  const auto& wide = reinterpret_cast<const sockaddr_in6&>(address);
  ::inet_ntop(AF_INET6, &wide.sin6_addr, text, sizeof text);
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(wide.sin6_port));
}

}  // namespace

std::vector<std::string_view> split_addresses(std::string_view addresses) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto comma = addresses.find(',');
    auto part = addresses.substr(0, comma);
    part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
    parts.push_back(part.substr(0, part.find_last_not_of(' ') + 1));
    if (comma == std::string_view::npos) return parts;
    addresses.remove_prefix(comma + 1);
  }
}

Result<Target> make_target(const std::string& addresses) {
  const auto parts = split_addresses(addresses);
  if (parts.size() == 1) return Target{addresses, ""};
  if (parts.size() > kAddressesMax) {
    return fail(Errc::invalid_argument,
                "too many addresses of the coordinator: count=" + std::to_string(parts.size()) +
                    " max=" + std::to_string(kAddressesMax));
  }
  std::vector<sockaddr_storage> found;
  std::optional<std::string> host;
  for (const auto part : parts) {
    CAMBRIAN_TRY(const auto place, parse_address(part));
    host = !host || *host == place.host ? place.host : "";
    std::ranges::copy(look_up(place), std::back_inserter(found));
  }
  if (found.empty()) {
    return fail(
        Errc::unavailable,
        "no address of the coordinator is known to the name service: addresses=" + addresses);
  }
  const bool is_wide =
      std::ranges::any_of(found, [](const auto& one) { return one.ss_family == AF_INET6; });
  Target target{is_wide ? "ipv6:" : "ipv4:", *host};
  for (std::size_t i = 0; i < found.size(); ++i) {
    target.uri += (i == 0 ? "" : ",") + text_of(found[i], is_wide);
  }
  return target;
}

}  // namespace cambrian::rpc
