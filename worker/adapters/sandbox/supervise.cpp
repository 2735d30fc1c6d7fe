#include "worker/adapters/sandbox/supervise.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "worker/adapters/sandbox/landlock.hpp"

namespace cambrian::worker {
namespace {

// How often memory, processes and disk are looked at.
constexpr int kSampleMilliseconds = 50;
// What the kernel keeps for a file or folder beside its pages.
constexpr long long kInodeBytes = 1024;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "sandbox supervisor: %s: %s\n", what, std::strerror(errno));
  _exit(125);
}

void send(const SupervisorRecord& record) {
  // A worker that is gone needs no answer.
  [[maybe_unused]] const ssize_t sent =
      ::send(kControlSocket, &record, sizeof record, MSG_NOSIGNAL);
}

void become(long long uid) {
  if (uid >= 0) {
    // The bounding set goes first: dropping it needs a right that the next lines give up.
    for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
      prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
    const auto id = static_cast<uid_t>(uid);
    if (setgroups(0, nullptr) != 0) die("setgroups");
    if (setresgid(id, id, id) != 0) die("setresgid");
    if (setresuid(id, id, id) != 0) die("setresuid");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no_new_privs");
  // A change of user resets both. Not dumpable: the program cannot look into /proc/1.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 0);
}

// Closes everything above the control socket but these.
void close_others(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  int next = kControlSocket + 1;
  for (const int descriptor : kept) {
    for (; next < descriptor; ++next) close(next);
    next = descriptor + 1;
  }
  close_range(static_cast<unsigned>(next), ~0U, 0);
}

// Before the program runs, so it cannot be the program's fault: the supervisor tells it apart.
[[noreturn]] void die_before(int failure, const char* what) {
  const int error = -std::max(errno, 1);
  [[maybe_unused]] const ssize_t written = write(failure, &error, sizeof error);
  die(what);
}

bool limit(__rlimit_resource resource, long long value) {
  if (value <= 0) return true;
  rlimit old{};
  if (getrlimit(resource, &old) != 0) return false;
  rlimit wanted{static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  wanted.rlim_cur = wanted.rlim_max = std::min(wanted.rlim_max, old.rlim_max);
  return setrlimit(resource, &wanted) == 0;
}

void enter_groups(long long count, int failure) {
  for (int door = kFirstGroupDoor; door < kFirstGroupDoor + count; ++door) {
    if (write(door, "0", 1) != 1) die_before(failure, "control group");
    close(door);
  }
}

void prepare_program(const SupervisorSettings& settings, int failure) {
  setsid();
  enter_groups(settings.groups, failure);
  const bool is_limited =
      limit(RLIMIT_DATA, settings.data) && limit(RLIMIT_AS, settings.address) &&
      limit(RLIMIT_FSIZE, settings.file) && limit(RLIMIT_STACK, settings.stack) &&
      limit(RLIMIT_NOFILE, settings.files) && limit(RLIMIT_NPROC, settings.processes) &&
      limit(RLIMIT_CPU, settings.cpu);
  if (!is_limited) die_before(failure, "resource limits");
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_MSGQUEUE, &none);
  if (settings.landlock > 0) {
    // Without this wall, which the worker counts on, nothing may run.
    errno = restrict_with_landlock(settings.landlock > 1 ? ProcView::all : ProcView::machine);
    if (errno != 0) die_before(failure, "landlock");
  }
  sigset_t all;
  sigemptyset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  signal(SIGPIPE, SIG_DFL);
}

/// Sums over all processes of the sandbox but this one.
struct Sample {
  long long resident_bytes = 0;
  int tasks = 0;
};

Sample sample_processes() {
  Sample sample;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return sample;
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || std::strcmp(entry->d_name, "1") == 0) {
      continue;
    }
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%.20s/status", entry->d_name);
    std::FILE* file = std::fopen(path, "re");
    if (file == nullptr) continue;
    char line[256];
    long long value = 0;
    // Pages of files do not count: they can be dropped, and libraries are shared.
    while (std::fgets(line, sizeof line, file) != nullptr) {
      if (std::sscanf(line, "RssAnon: %lld", &value) == 1) sample.resident_bytes += value << 10;
      if (std::sscanf(line, "RssShmem: %lld", &value) == 1) sample.resident_bytes += value << 10;
      if (std::sscanf(line, "VmPTE: %lld", &value) == 1) sample.resident_bytes += value << 10;
      if (std::sscanf(line, "Threads: %lld", &value) == 1) sample.tasks += static_cast<int>(value);
    }
    std::fclose(file);
  }
  closedir(proc);
  return sample;
}

/// Of the folders in memory that the program may write into.
struct Files {
  long long bytes = 0;
  long long inodes = 0;
  bool is_full = false;
};

Files sample_files() {
  Files files;
  for (const char* folder : kWritableFolders) {
    struct statvfs info{};
    if (statvfs(folder, &info) != 0) continue;
    const auto inodes = static_cast<long long>(info.f_files - info.f_ffree);
    files.inodes += inodes;
    files.bytes += static_cast<long long>((info.f_blocks - info.f_bfree) * info.f_frsize) +
                   inodes * kInodeBytes;
    if (info.f_bavail == 0 || info.f_favail == 0) files.is_full = true;
  }
  return files;
}

class Watch {
 public:
  Watch(pid_t program, const SupervisorSettings& settings)
      : program_(program), settings_(settings) {}

  SupervisorRecord run(int signals) {
    pollfd polled[] = {{kControlSocket, POLLIN, 0}, {signals, POLLIN, 0}};
    while (!is_over_) {
      poll(polled, 2, kSampleMilliseconds);
      signalfd_siginfo info;
      while (read(signals, &info, sizeof info) > 0) continue;
      // Whatever comes, also the end of the worker, means stop.
      if (polled[0].revents != 0 && record_.was_stopped == 0) {
        record_.was_stopped = 1;
        kill(-1, SIGKILL);
      }
      reap(WNOHANG);
      sample();
    }
    kill(-1, SIGKILL);
    reap(0);
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    const auto nanoseconds = [](const timeval& time) {
      return time.tv_sec * 1'000'000'000LL + time.tv_usec * 1000LL;
    };
    record_.event = SupervisorEvent::ended;
    record_.cpu_nanoseconds = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
    record_.memory_peak_bytes =
        std::max<std::int64_t>(record_.memory_peak_bytes, (std::int64_t{usage.ru_maxrss} << 10) -
                                                              settings_.memory_not_counted);
    return record_;
  }

 private:
  void reap(int options) {
    int status = 0;
    while (true) {
      const pid_t ended = waitpid(-1, &status, options);
      if (ended == program_) {
        is_over_ = true;
        record_.value = status;
      }
      if (ended == 0 || (ended < 0 && errno != EINTR)) return;
    }
  }

  void sample() {
    const Sample now = sample_processes();
    const Files files = sample_files();
    // Files lie in memory, too. One that is also mapped counts twice: rather that than not at all.
    const long long bytes = now.resident_bytes + files.bytes;
    record_.memory_peak_bytes =
        std::max<std::int64_t>(record_.memory_peak_bytes, bytes - settings_.memory_not_counted);
    record_.processes_peak = std::max(record_.processes_peak, now.tasks);
    const bool has_too_many = settings_.inodes > 0 && files.inodes > settings_.inodes;
    if (files.is_full || has_too_many) record_.is_disk_full = 1;
    if (settings_.memory > 0 && bytes > settings_.memory) record_.is_memory_exceeded = 1;
    if (has_too_many || record_.is_memory_exceeded != 0) kill(-1, SIGKILL);
  }

  pid_t program_;
  const SupervisorSettings& settings_;
  bool is_over_ = false;
  SupervisorRecord record_;
};

}  // namespace

char** parse_settings(int argc, char** argv, SupervisorSettings& settings) {
  const struct {
    const char* name;
    long long SupervisorSettings::* field;
  } fields[] = {{"uid", &SupervisorSettings::uid},
                {"socket", &SupervisorSettings::socket},
                {"memory", &SupervisorSettings::memory},
                {"data", &SupervisorSettings::data},
                {"address", &SupervisorSettings::address},
                {"file", &SupervisorSettings::file},
                {"stack", &SupervisorSettings::stack},
                {"files", &SupervisorSettings::files},
                {"processes", &SupervisorSettings::processes},
                {"cpu", &SupervisorSettings::cpu},
                {"inodes", &SupervisorSettings::inodes},
                {"groups", &SupervisorSettings::groups},
                {"landlock", &SupervisorSettings::landlock}};
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--") == 0) return i + 1 < argc ? argv + i + 1 : nullptr;
    const char* equals = std::strchr(argv[i], '=');
    for (const auto& field : fields) {
      if (equals != nullptr && std::strlen(field.name) == std::size_t(equals - argv[i]) &&
          std::strncmp(argv[i], field.name, std::size_t(equals - argv[i])) == 0) {
        settings.*field.field = std::atoll(equals + 1);
      }
    }
  }
  return nullptr;
}

void supervise(const SupervisorSettings& settings, std::span<const int> kept,
               const std::function<void(int failure)>& program) {
  become(settings.uid);

  sigset_t mask;
  sigfillset(&mask);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  const int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  int failure[2];
  if (signals < 0 || pipe2(failure, O_CLOEXEC) != 0) die("descriptors");
  fcntl(kControlSocket, F_SETFD, FD_CLOEXEC);
  // Nothing that the sandbox itself used may reach the program.
  std::vector<int> inherited(kept.begin(), kept.end());
  for (int i = 0; i < settings.groups; ++i) inherited.push_back(kFirstGroupDoor + i);
  std::vector<int> ours = inherited;
  ours.insert(ours.end(), {signals, failure[0], failure[1]});
  close_others(ours);
  if (settings.socket == 0) close(kProgramSocket);

  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prepare_program(settings, failure[1]);
    program(failure[1]);
    _exit(125);
  }
  close(failure[1]);
  for (const int descriptor : inherited) close(descriptor);
  if (settings.socket != 0) close(kProgramSocket);

  int error = 0;
  SupervisorRecord started;
  if (read(failure[0], &error, sizeof error) == sizeof error) {
    started.event = error < 0 ? SupervisorEvent::prepare_failed : SupervisorEvent::exec_failed;
    started.value = std::abs(error);
    send(started);
    _exit(0);
  }
  close(failure[0]);
  send(started);
  send(Watch(child, settings).run(signals));
  // No destructors, no leak check: it could not look into itself.
  _exit(0);
}

}  // namespace cambrian::worker
