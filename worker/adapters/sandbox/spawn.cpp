#include "worker/adapters/sandbox/spawn.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "worker/evaluation/text.hpp"

namespace cambrian::worker {
namespace {

// Descriptors are first moved up here, so that putting one in place never overwrites another.
constexpr int kFirstFreeDescriptor = 32;

std::string error_text(int error) { return std::strerror(error); }

std::string first_line(const std::string& text) {
  constexpr std::size_t kBytesMax = 200;
  return sanitise(text.substr(0, std::min(text.find('\n'), kBytesMax)));
}

// The actions and attributes of posix_spawn, which calls vfork-like code: a fork of a large
// program with many threads would be slow, and a lock held elsewhere could stop it.
class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    // Its own session: Ctrl-C in the worker's terminal is the worker's alone.
    posix_spawnattr_setflags(
        &attributes_,
        static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID));
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t* actions() { return &actions_; }
  posix_spawnattr_t* attributes() { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

Result<pid_t> spawn(const std::vector<std::string>& arguments,
                    const std::vector<std::pair<int, int>>& descriptors) {
  SpawnSettings settings;
  std::vector<Descriptor> moved;
  int first_closed = 0;
  for (const auto& [ours, theirs] : descriptors) {
    moved.emplace_back(fcntl(ours, F_DUPFD_CLOEXEC, kFirstFreeDescriptor));
    if (!moved.back()) return fail(Errc::unavailable, "no descriptors left: " + error_text(errno));
    posix_spawn_file_actions_adddup2(settings.actions(), moved.back().get(), theirs);
    first_closed = std::max(first_closed, theirs + 1);
  }
  posix_spawn_file_actions_addclosefrom_np(settings.actions(), first_closed);

  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  char path[] = "PATH=/usr/bin:/bin";
  char* environment[] = {path, nullptr};
  pid_t process = -1;
  const int error = posix_spawn(&process, argv[0], settings.actions(), settings.attributes(),
                                argv.data(), environment);
  if (error == 0) return process;
  return fail(error == ENOENT ? Errc::not_found : Errc::unavailable,
              "program did not start: program=" + arguments[0] + " error=" + error_text(error));
}

Result<std::string> capture(const std::vector<std::string>& arguments,
                            std::chrono::milliseconds longest) {
  constexpr std::size_t kOutputMax = 1 << 20;
  CAMBRIAN_TRY(DescriptorPair output, make_pipe());
  const Descriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
  CAMBRIAN_TRY(
      const pid_t process,
      spawn(arguments, {{nothing.get(), 0}, {output.second.get(), 1}, {nothing.get(), 2}}));
  output.second.reset();
  const auto deadline = std::chrono::steady_clock::now() + longest;
  std::string text;
  bool is_open = true;
  while (is_open && text.size() < kOutputMax) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd polled{output.first.get(), POLLIN, 0};
    if (left.count() <= 0) break;
    if (poll(&polled, 1, static_cast<int>(left.count())) <= 0) continue;
    char buffer[4096];
    const ssize_t count = read(output.first.get(), buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
    is_open = count > 0 || (count < 0 && errno == EINTR);
  }
  if (is_open) kill(process, SIGKILL);
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
  if (text.size() >= kOutputMax) {
    return fail(Errc::internal, "program printed too much: program=" + arguments[0]);
  }
  if (is_open) return fail(Errc::deadline_exceeded, "no answer in time: program=" + arguments[0]);
  if (status != 0) {
    const std::string end = WIFEXITED(status) ? "code=" + std::to_string(WEXITSTATUS(status))
                                              : "signal=" + std::to_string(WTERMSIG(status));
    return fail(Errc::internal, "program failed: program=" + arguments[0] + " " + end +
                                    " output=" + first_line(text));
  }
  return text;
}

Result<DescriptorPair> make_pipe() {
  int numbers[2];
  if (pipe2(numbers, O_CLOEXEC) != 0) {
    return fail(Errc::unavailable, "no pipe: " + error_text(errno));
  }
  return DescriptorPair{Descriptor(numbers[0]), Descriptor(numbers[1])};
}

Result<DescriptorPair> make_socket_pair(int type) {
  int numbers[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, numbers) != 0) {
    return fail(Errc::unavailable, "no socket pair: " + error_text(errno));
  }
  return DescriptorPair{Descriptor(numbers[0]), Descriptor(numbers[1])};
}

}  // namespace cambrian::worker
