#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "cli/cli.hpp"

int main(int argc, char** argv) {
  using namespace cambrian::cli;
  try {
    Cli cli;
    build(cli);
    if (const auto code = parse(cli, std::vector<std::string>(argv + 1, argv + argc))) return *code;
    Session session(cli.options, detect_terminal(cli.options.color));
    const int code = cli.action ? cli.action(session) : to_int(ExitCode::usage);
    // Half of the data with exit code 0 would be a lie: the disk may be full.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      return session.fail(ExitCode::failure,
                          std::string("cannot write to stdout: ") + std::strerror(errno));
    }
    return code;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return to_int(ExitCode::failure);
  }
}
