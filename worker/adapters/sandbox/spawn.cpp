#include "worker/adapters/sandbox/spawn.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace cambrian::worker {
namespace {

// Descriptors are first moved up here, so that putting one in place never overwrites another.
constexpr int kFirstFreeDescriptor = 32;

std::string error_text(int error) { return std::strerror(error); }

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
