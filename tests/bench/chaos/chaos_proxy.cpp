// Stands between programs and disturbs their connections, as it is told on standard input. See
// README.md.

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/bench/chaos/link.hpp"

namespace cambrian::bench {
namespace {

namespace asio = boost::asio;
using Links = std::map<std::string, Link>;

const std::map<std::string, LinkMode> kModes = {{"pass", LinkMode::pass},
                                                {"refuse", LinkMode::refuse},
                                                {"delay", LinkMode::delay},
                                                {"blackhole", LinkMode::blackhole},
                                                {"swallow", LinkMode::swallow}};

asio::ip::tcp::endpoint tcp_endpoint(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) throw std::invalid_argument("not HOST:PORT: " + address);
  return {asio::ip::make_address(address.substr(0, colon)),
          static_cast<unsigned short>(std::stoi(address.substr(colon + 1)))};
}

Link::Endpoint target_endpoint(const std::string& address) {
  if (address.starts_with('/')) return asio::local::stream_protocol::endpoint(address);
  return tcp_endpoint(address);
}

/// NAME=HOST:PORT=TARGET, the target HOST:PORT or the path of a Unix socket.
void add_link(asio::io_context& context, Links& links, const std::string& argument) {
  const auto first = argument.find('=');
  const auto second = argument.find('=', first + 1);
  if (second == std::string::npos) throw std::invalid_argument("not NAME=LISTEN=TARGET");
  links.try_emplace(argument.substr(0, first), context,
                    tcp_endpoint(argument.substr(first + 1, second - first - 1)),
                    target_endpoint(argument.substr(second + 1)));
}

/// LINK ORDER [NUMBER]; one line is the answer.
std::string carry_out(Links& links, const std::string& line) {
  std::istringstream words(line);
  std::string name;
  std::string order;
  int number = 0;
  words >> name >> order >> number;
  const auto found = links.find(name);
  if (found == links.end()) return "error: no such link: " + name;
  Link& link = found->second;
  if (order == "cut") {
    link.cut();
  } else if (order == "lose") {
    link.lose_commits(number);
  } else if (order == "lost") {
    return std::to_string(link.commits_lost());
  } else if (const auto mode = kModes.find(order); mode != kModes.end()) {
    link.set(mode->second, std::chrono::milliseconds(number));
  } else {
    return "error: no such order: " + order;
  }
  return "ok";
}

void run(const std::vector<std::string>& arguments) {
  asio::io_context context;
  Links links;
  for (const auto& argument : arguments) add_link(context, links, argument);
  std::printf("ready\n");
  std::fflush(stdout);
  const std::jthread reader([&] {
    for (std::string line; std::getline(std::cin, line);) {
      asio::post(context, [&links, line] {
        std::printf("%s\n", carry_out(links, line).c_str());
        std::fflush(stdout);
      });
    }
    context.stop();
  });
  context.run();
}

}  // namespace
}  // namespace cambrian::bench

int main(int argc, char** argv) {
  try {
    cambrian::bench::run({argv + 1, argv + argc});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
