#include "tests/integration/cli/command_line.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <thread>

extern char** environ;

namespace cambrian::cli::testing {
namespace {

namespace fs = std::filesystem;

const std::string kProgram = std::string(CAMBRIAN_BINARY_DIR) + "/bin/cambrian";
constexpr std::chrono::milliseconds kPoll{50};

pid_t spawn(const std::vector<std::string>& arguments, const fs::path& directory,
            const fs::path& out, const fs::path& err) {
  std::vector<std::string> words{kProgram};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables{"CAMBRIAN_DEV_DIRECTORY=" + directory.string(),
                                     "CAMBRIAN_CONFIG=" + (directory / "none.yaml").string(),
                                     "CAMBRIAN_DEV_UNTIL=" + std::to_string(getpid()),
                                     "NO_COLOR=1"};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("CAMBRIAN_")) variables.emplace_back(*entry);
  }
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
  };
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, kProgram.c_str(), &actions, nullptr, pointers(words).data(),
                                pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  // No REQUIRE here: the shared environment ends after Catch2 has.
  if (error != 0) throw std::system_error(error, std::generic_category(), kProgram);
  return pid;
}

}  // namespace

Folder::Folder() {
  std::string name = (fs::temp_directory_path() / "cambrian-cli-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), name);
  }
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Folder::write(const std::string& name, const std::string& text) const {
  const fs::path path = path_ / name;
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
  return path.string();
}

Environment::Environment() {
  const Run up = run({"dev", "up", "--workers", "1", "--slots", "2"});
  INFO(up.err);
  REQUIRE(up.code == 0);
}

Environment::~Environment() {
  try {
    (void)run({"dev", "down"});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cannot stop the environment: %s\n", error.what());
  }
}

Run Environment::run(const std::vector<std::string>& arguments) const {
  const Folder output;
  const pid_t pid =
      spawn(arguments, folder_.path() / "dev", output.path() / "out", output.path() / "err");
  Run result;
  result.code = wait_for_exit(pid, 200);
  result.out = read_file(output.path() / "out");
  result.err = read_file(output.path() / "err");
  return result;
}

pid_t Environment::start(const std::vector<std::string>& arguments, const fs::path& output) const {
  return spawn(arguments, folder_.path() / "dev", output, output.string() + ".err");
}

std::string Environment::run_on_terminal(const std::vector<std::string>& arguments, int rows,
                                         int columns) const {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE((terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0));
  winsize size{};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  REQUIRE(ioctl(terminal, TIOCSWINSZ, &size) == 0);
  const pid_t pid =
      spawn(arguments, folder_.path() / "dev", ptsname(terminal), folder_.path() / "terminal.err");
  std::string text;
  std::array<char, 4096> buffer{};
  // Reading fails once the last writer has closed the other end.
  for (ssize_t got = 0; (got = read(terminal, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(terminal);
  CHECK(wait_for_exit(pid, 10) == 0);
  return text;
}

pid_t Environment::pid_of(const std::string& service) const {
  const auto status = nlohmann::json::parse(run({"dev", "status", "--json"}).out);
  for (const auto& one : status["services"]) {
    if (one["name"] == service) return one["pid"].get<pid_t>();
  }
  FAIL("no such service: " << service);
  return 0;
}

bool Environment::wait_until_ready() const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto status = nlohmann::json::parse(run({"dev", "status", "--json"}).out, nullptr, false);
    bool is_ready = status.is_object() && status["is_running"] == true;
    if (is_ready) {
      for (const auto& one : status["services"]) is_ready = is_ready && one["phase"] == "ready";
    }
    if (is_ready) return true;
    std::this_thread::sleep_for(kPoll);
  }
  return false;
}

Environment& shared_environment() {
  // Ended with the program, after the last test.
  static Environment environment;
  return environment;
}

int wait_for_exit(pid_t pid, int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string campaign_text(const std::string& name, int evaluations) {
  return "api_version: cambrian/v1\nkind: Campaign\nname: " + name +
         "\nseed: 7\ntask:\n  source: " CAMBRIAN_SOURCE_DIR
         "/tasks/online-bin-packing\n  parameters: {items: 500, instances: 2}\n"
         "search:\n  policy: hill_climb\nevaluation: {final_repeats: 2}\n"
         "budget:\n  evaluations: " +
         std::to_string(evaluations) + "\n";
}

std::string read_file(const fs::path& path) {
  std::ifstream input(path, std::ios::binary);
  std::stringstream text;
  text << input.rdbuf();
  return text.str();
}

}  // namespace cambrian::cli::testing
