#include "cli/dev/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "common/rpc/backoff.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace cambrian::cli::dev {
namespace {

constexpr std::chrono::milliseconds kExitPollInterval{20};

/// The attributes and file actions of posix_spawn, freed at the end.
class SpawnSettings {
 public:
  explicit SpawnSettings(const SpawnRequest& request) {
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_init(&actions_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(
        &attributes_,
        static_cast<short>(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, request.log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    if (!request.folder.empty()) {
      posix_spawn_file_actions_addchdir_np(&actions_, request.folder.c_str());
    }
  }
  ~SpawnSettings() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  const posix_spawnattr_t* attributes() const { return &attributes_; }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawnattr_t attributes_{};
  posix_spawn_file_actions_t actions_{};
};

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const auto name = text.substr(0, text.find('='));
    // Programs started here need no token, and must send none to whoever listens in their place.
    if (name != "CAMBRIAN_TOKEN" && !added.contains(name)) result.push_back(text);
  }
  for (const auto& [name, value] : added) {
    result.push_back(std::string(name).append("=").append(value));
  }
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

std::optional<ProcessId> find_process(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  std::ifstream input("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(input, text);
  // The name of the program stands in parentheses and may hold anything.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return std::nullopt;
  constexpr int kFieldsToStartTime = 19;
  for (int i = 0; i < kFieldsToStartTime; ++i) fields >> field;
  ProcessId process{pid, 0};
  process.start_ticks = std::strtoull(field.c_str(), nullptr, 10);
  return process;
}

bool is_alive(const ProcessId& process) { return find_process(process.pid) == process; }

bool send_signal(const ProcessId& process, int signal) {
  return is_alive(process) && kill(process.pid, signal) == 0;
}

bool wait_for_end(const ProcessId& process, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (is_alive(process)) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    rpc::wait_unless_stopped({}, kExitPollInterval);
  }
  return true;
}

Result<ProcessId> spawn(const SpawnRequest& request) {
  std::vector<std::string> arguments = request.arguments;
  std::vector<std::string> environment = merged_environment(request.environment);
  const SpawnSettings settings(request);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, arguments[0].c_str(), settings.actions(), settings.attributes(),
                  pointers(arguments).data(), pointers(environment).data());
  if (error != 0) {
    return fail(error == ENOENT ? Errc::not_found : Errc::unavailable,
                "cannot start " + arguments[0] + ": " + std::strerror(error));
  }
  // A child that ended at once still has its entry: nobody has waited for it yet.
  return find_process(pid).value_or(ProcessId{pid, 0});
}

Result<int> run(const SpawnRequest& request, std::chrono::milliseconds timeout) {
  CAMBRIAN_TRY(const ProcessId process, spawn(request));
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  int status = 0;
  while (true) {
    const pid_t ended = waitpid(process.pid, &status, WNOHANG);
    if (ended == process.pid) break;
    if (ended < 0 && errno != EINTR) {
      return fail(Errc::internal, "lost track of " + request.arguments[0]);
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      kill(process.pid, SIGKILL);
      waitpid(process.pid, &status, 0);
      return fail(Errc::deadline_exceeded, request.arguments[0] + " took longer than " +
                                               std::to_string(timeout.count() / 1000) + " s");
    }
    rpc::wait_unless_stopped({}, kExitPollInterval);
  }
  constexpr int kSignalBase = 128;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kSignalBase + WTERMSIG(status);
}

std::string tail_of(const std::filesystem::path& path, std::size_t bytes_max) {
  std::ifstream input(path, std::ios::binary | std::ios::ate);
  if (!input) return "";
  const auto size = static_cast<std::size_t>(std::max<std::streamoff>(input.tellg(), 0));
  const std::size_t start = size > bytes_max ? size - bytes_max : 0;
  input.seekg(static_cast<std::streamoff>(start));
  std::string text(size - start, '\0');
  input.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(input.gcount()));
  if (start > 0) text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
  return text;
}

}  // namespace cambrian::cli::dev
