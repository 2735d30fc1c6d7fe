#include "worker/adapters/sandbox/serve_forks.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>

#include "worker/adapters/sandbox/fork_memory.hpp"
#include "worker/adapters/sandbox/fork_request.hpp"
#include "worker/adapters/sandbox/supervise.hpp"
#include "worker/evaluator/source_archive.hpp"

namespace cambrian::worker {
namespace {

// Received descriptors are moved up here, so that putting one in place never overwrites another.
constexpr int kFirstForkDescriptor = 64;

struct Request {
  SupervisorSettings settings;
  bool has_user_namespace = false;
  std::string disk = "0";
  std::string folder;
  std::vector<std::string> hidden;
  cpu_set_t cores{};
  std::vector<std::string> arguments;
  std::vector<int> descriptors;

  std::size_t group_count() const { return static_cast<std::size_t>(settings.groups); }
  bool has_output() const { return descriptors.size() > kForkRequestDescriptors + group_count(); }
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "sandbox of a fork: %s: %s\n", what.c_str(), std::strerror(errno));
  _exit(125);
}

/// Memory of this process, in bytes.
struct OwnMemory {
  long long resident = 0;
  long long data = 0;
  long long address = 0;
};

OwnMemory measure_own_memory() {
  OwnMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    long long value = 0;
    if (std::sscanf(line.c_str(), "RssAnon: %lld", &value) == 1) memory.resident = value << 10;
    if (std::sscanf(line.c_str(), "VmData: %lld", &value) == 1) memory.data = value << 10;
    if (std::sscanf(line.c_str(), "VmSize: %lld", &value) == 1) memory.address = value << 10;
  }
  return memory;
}

// Nothing comes of a message that is too long or has too few descriptors; a server that cannot
// take a message any more ends.
std::optional<Request> parse(std::string_view text, std::vector<int> descriptors) {
  Request request;
  request.descriptors = std::move(descriptors);
  std::vector<std::string> words = {"fork"};
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  parse_settings(static_cast<int>(argv.size()), argv.data(), request.settings);
  bool is_programs = false;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (is_programs) {
      request.arguments.push_back(word);
    } else if (word == "--") {
      is_programs = true;
    } else if (name == "user_namespace") {
      request.has_user_namespace = value == "1";
    } else if (name == "disk") {
      request.disk = value;
    } else if (name == "folder") {
      request.folder = value;
    } else if (name == "hidden") {
      request.hidden.push_back(value);
    } else if (name == "core") {
      CPU_SET(static_cast<unsigned>(std::atoi(value.c_str())), &request.cores);
    }
  }
  const bool has_doors =
      request.settings.groups >= 0 && request.settings.groups <= kGroupDoorsMax &&
      request.descriptors.size() >= kForkRequestDescriptors + request.group_count();
  if (!has_doors) return std::nullopt;
  return request;
}

// One request; nothing when the worker is gone.
std::optional<Request> receive() {
  static std::array<char, kForkRequestBytesMax> text;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kForkRequestDescriptorsMax)];
  iovec part{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count = -1;
  do {
    count = recvmsg(kForkServerSocket, &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count <= 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return std::nullopt;
  std::vector<int> descriptors;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t bytes = header->cmsg_len - CMSG_LEN(0);
    const std::size_t before = descriptors.size();
    descriptors.resize(before + bytes / sizeof(int));
    std::memcpy(descriptors.data() + before, CMSG_DATA(header), bytes);
  }
  if (descriptors.size() < kForkRequestDescriptors) return std::nullopt;
  return parse(std::string_view(text.data(), static_cast<std::size_t>(count)),
               std::move(descriptors));
}

void write_file(const char* path, const std::string& text) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    die(path);
  }
  close(file);
}

// The user keeps its number, so that files look the same as in a sandbox of bubblewrap.
void map_user(uid_t user, gid_t group) {
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", std::to_string(user) + " " + std::to_string(user) + " 1");
  write_file("/proc/self/gid_map", std::to_string(group) + " " + std::to_string(group) + " 1");
}

void mount_tmpfs(const std::string& target, const std::string& options, unsigned long flags) {
  if (mount("tmpfs", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | flags, options.c_str()) != 0) {
    die("tmpfs at " + target);
  }
}

// Shows `source` in the place of a file, read-only. A device cannot be opened there.
void cover_file(const char* source, const std::string& path) {
  if (mount(source, path.c_str(), nullptr, MS_BIND, nullptr) != 0) die("covering " + path);
  // What is set already may not be taken away.
  struct statvfs info{};
  if (statvfs(path.c_str(), &info) != 0) die("covering " + path);
  unsigned long flags = info.f_flag & (ST_NOSUID | ST_NOEXEC | ST_NOATIME | ST_NODIRATIME);
  if ((info.f_flag & ST_RELATIME) != 0) flags |= MS_RELATIME;
  flags |= MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NODEV;
  if (mount(nullptr, path.c_str(), nullptr, flags, nullptr) != 0) die("covering " + path);
}

void write_whole(const std::string& path, std::string_view content) {
  const int to = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
  if (to < 0) die(path);
  while (!content.empty()) {
    const ssize_t count = write(to, content.data(), content.size());
    if (count < 0 && errno != EINTR) die(path);
    if (count > 0) content.remove_prefix(static_cast<std::size_t>(count));
  }
  close(to);
}

// Into a tmpfs of its own, where nobody else has written. Nothing that the files say is looked at.
void unpack(int archive, const std::string& folder) {
  struct stat info{};
  if (fstat(archive, &info) != 0) die("archive");
  const auto size = static_cast<std::size_t>(info.st_size);
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, archive, 0);
  if (mapped == MAP_FAILED) die("archive");
  const auto files = read_archive(std::string_view(static_cast<const char*>(mapped), size));
  errno = EINVAL;
  if (!files) die("archive");
  for (const ArchivedFile& file : *files) {
    const std::string path = folder + "/" + std::string(file.path);
    for (std::size_t slash = path.find('/', folder.size() + 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      if (mkdir(path.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST) die(path);
    }
    write_whole(path, file.content);
  }
  munmap(mapped, size);
}

void mount_all(const Request& request, int archive) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) die("private mounts");
  for (const std::string& path : request.hidden) {
    struct stat info{};
    if (stat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      mount_tmpfs(path, "mode=0755,size=4096", MS_RDONLY);
    } else {
      cover_file("/dev/null", path);
    }
  }
  const std::string options = "mode=1777,size=" + request.disk;
  mount_tmpfs("/tmp", options, 0);
  mount_tmpfs("/dev/shm", options, 0);
  // Of no size: the archive has one, and nobody can write there afterwards.
  mount_tmpfs(request.folder, "mode=0755", 0);
  const mode_t mask = umask(022);  // The program, another user, must read it whatever ours is.
  unpack(archive, request.folder);
  umask(mask);
  mount_tmpfs(request.folder, "", MS_REMOUNT | MS_RDONLY);
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    die("/proc");
  }
  cover_file(kRandomId, kBootId);
  // Terminals of the server's own would be one place for all forks.
  if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
            "newinstance,ptmxmode=0666,mode=0620") != 0) {
    die("/dev/pts");
  }
}

void install_filter(int descriptor) {
  std::array<sock_filter, BPF_MAXINSNS> instructions;
  const ssize_t bytes = pread(descriptor, instructions.data(), sizeof instructions, 0);
  if (bytes <= 0) die("system call filter");
  const sock_fprog program{
      static_cast<unsigned short>(static_cast<std::size_t>(bytes) / sizeof(sock_filter)),
      instructions.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
    die("system call filter");
  }
}

// An ordinary user has all capabilities in a namespace of its own; with root, the change of the
// user takes them away.
void drop_capabilities() {
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) die("capabilities");
}

/// What of a request's descriptors is kept for later, out of the way of the others.
struct HighDescriptors {
  int filter = -1;
  int archive = -1;
};

// Puts log, socket, control socket and output where the supervisor and the program expect them.
HighDescriptors place_descriptors(const Request& request) {
  std::vector<int> high;
  for (const int descriptor : request.descriptors) {
    high.push_back(fcntl(descriptor, F_DUPFD_CLOEXEC, kFirstForkDescriptor));
    if (high.back() < 0) die("descriptors");
  }
  if (dup2(high[1], 1) < 0 || dup2(high[1], 2) < 0 || dup2(high[0], kProgramSocket) < 0 ||
      dup2(high[2], kControlSocket) < 0) {
    die("descriptors");
  }
  // What a compiler starts needs no output of ours.
  if (request.has_output() && dup3(high[kForkRequestDescriptors], kForkOutput, O_CLOEXEC) < 0) {
    die("descriptors");
  }
  const std::size_t first_door = high.size() - request.group_count();
  for (int i = 0; i < request.settings.groups; ++i) {
    const int door = high[first_door + static_cast<std::size_t>(i)];
    if (dup3(door, kFirstGroupDoor + i, O_CLOEXEC) < 0) die("descriptors");
  }
  return {.filter = high[3], .archive = high[4]};
}

/// What each fork does: takes its copies of these pages, then runs the program.
struct ForkPlan {
  const std::function<int(const ForkedProgram&)>& program;
  std::vector<PageRange> written_pages;
};

[[noreturn]] void become_fork(const Request& request, uid_t user, gid_t group,
                              const ForkPlan& plan) {
  signal(SIGCHLD, SIG_DFL);
  const HighDescriptors high = place_descriptors(request);
  std::vector<int> kept;
  if (request.has_output()) kept.push_back(kForkOutput);
  if (sched_setaffinity(0, sizeof request.cores, &request.cores) != 0) die("cores");
  if (request.has_user_namespace) map_user(user, group);
  mount_all(request, high.archive);
  if (chdir("/tmp") != 0) die("/tmp");
  install_filter(high.filter);
  if (request.has_user_namespace) drop_capabilities();
  supervise(request.settings, kept, [&](int failure) {
    close(failure);
    // Nothing is executed that would close them: the control socket above all must not be left,
    // because whoever has it speaks for the supervisor.
    close(kControlSocket);
    close_range(static_cast<unsigned>(kForkOutput + (kept.empty() ? 0 : 1)), ~0U, 0);
    // What an executed program would be: its own memory is open to its own user.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    copy_pages(plan.written_pages);
    const int code = plan.program({request.arguments, kept.empty() ? -1 : kForkOutput});
    std::fflush(nullptr);
    _exit(code);
  });
}

// In a fork.
void set_huge_pages(const ServeOptions& options) {
  if (options.without_new_huge_pages) prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

// A fork has one thread only; what the others held would stay taken.
bool has_one_thread() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    int threads = 0;
    if (std::sscanf(line.c_str(), "Threads: %d", &threads) == 1) return threads == 1;
  }
  return false;
}

}  // namespace

int serve_forks(const ServeOptions& options,
                const std::function<int(const ForkedProgram&)>& program) {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (!has_one_thread()) {
    std::fprintf(stderr, "a fork server must have one thread\n");
    return 1;
  }
  fill_heap_holes();
  ForkPlan plan{program, {}};
  if (options.rehearse) {
    plan.written_pages = pages_written_by([&options] {
      set_huge_pages(options);
      options.rehearse();
    });
  }
  signal(SIGCHLD, SIG_IGN);  // Nobody waits for a fork: its end is told on its control socket.
  const OwnMemory own = measure_own_memory();
  const ForkServerReady ready{own.resident, count_pages(plan.written_pages)};
  if (send(kForkServerSocket, &ready, sizeof ready, MSG_NOSIGNAL) < 0) return 1;
  while (auto request = receive()) {
    if (options.processes_not_counted > 0) {
      request->settings.memory += own.resident * options.processes_not_counted;
      request->settings.memory_not_counted = own.resident * options.processes_not_counted;
      request->settings.data += own.data;
      request->settings.address += own.address;
    }
    // The system call, not fork(): namespaces begin with the new process, which is the first of
    // its process namespace. This process has one thread, so no lock can be left taken.
    const long flags = SIGCHLD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
                       CLONE_NEWUTS | (request->has_user_namespace ? CLONE_NEWUSER : 0);
    const long child = syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr);
    if (child == 0) {
      set_huge_pages(options);
      become_fork(*request, user, group, plan);
    }
    if (child < 0) {
      dprintf(request->descriptors[1], "sandbox of a fork: %s\n", std::strerror(errno));
    }
    for (const int descriptor : request->descriptors) close(descriptor);
  }
  return 0;
}

}  // namespace cambrian::worker
