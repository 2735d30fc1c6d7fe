#include <catch2/catch_test_macros.hpp>

#include "worker/adapters/sandbox/probe.hpp"

namespace {

using namespace cambrian::worker;

BubblewrapSandbox& sandbox() {
  static const SandboxProbe probe = probe_sandbox(CAMBRIAN_BINARY_DIR "/bin");
  if (!probe.sandbox) FAIL("no sandbox on this machine: " + probe.reason);
  return *probe.sandbox;
}

SandboxCommand shell(const std::string& script) {
  SandboxCommand command;
  command.arguments = {"/usr/bin/bash", "-c", script};
  command.wall_time = std::chrono::seconds(20);
  return command;
}

std::pair<ProcessExit, std::string> run(const SandboxCommand& command) {
  auto ended = run_to_end(sandbox(), command, {});
  REQUIRE(ended.has_value());
  return *ended;
}

}  // namespace

TEST_CASE("sandbox: a program sees its own files and nothing of this machine", "[integration]") {
  const auto [exit, log] = run(shell("id -u; ls /; ls /etc; env | sort; ls /proc/self/fd | wc -l"));
  INFO(log);
  CHECK(exit.was_started);
  CHECK(exit.exit_code == 0);
  CHECK(log.find("root") == std::string::npos);
}
