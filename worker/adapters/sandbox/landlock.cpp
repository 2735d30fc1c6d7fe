#include "worker/adapters/sandbox/landlock.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {
namespace {

// The versions that brought what is used here.
constexpr int kVersionRefer = 2;
constexpr int kVersionTruncate = 3;
constexpr int kVersionNetwork = 4;
constexpr int kVersionScope = 6;

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kRead = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;
// What there is to be allowed on something that is not a folder.
constexpr std::uint64_t kOfFiles =
    kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;

// Libraries size their pools and pick their code paths by these.
constexpr const char* kMachineFiles[] = {"/proc/cpuinfo",
                                         "/proc/meminfo",
                                         "/proc/stat",
                                         "/proc/uptime",
                                         "/proc/loadavg",
                                         "/proc/sys/vm/overcommit_memory",
                                         "/proc/sys/vm/max_map_count",
                                         "/proc/sys/kernel/threads-max",
                                         "/proc/sys/kernel/pid_max",
                                         "/proc/sys/kernel/random/boot_id"};

std::uint64_t handled_files(int version) {
  // All from EXECUTE, the first one, to MAKE_SYM.
  std::uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  if (version >= kVersionRefer) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= kVersionTruncate) rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
  return rights;
}

class Rules {
 public:
  explicit Rules(int version) : handled_(handled_files(version)) {
    landlock_ruleset_attr attributes{};
    attributes.handled_access_fs = handled_;
    if (version >= kVersionNetwork) {
      attributes.handled_access_net =
          LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP;
    }
    if (version >= kVersionScope) {
      attributes.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
    }
    // An older kernel takes a longer structure whose unknown end is zero.
    rules_ = Descriptor(
        static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
    if (!rules_) error_ = errno;
  }

  /// Allows what is not there, too: it stays away.
  void allow(const char* path, std::uint64_t rights) {
    const Descriptor file(open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info{};
    if (!file || fstat(file.get(), &info) != 0 || S_ISLNK(info.st_mode)) return;
    if (!S_ISDIR(info.st_mode)) rights &= kOfFiles;
    landlock_path_beneath_attr rule{};
    rule.allowed_access = rights & handled_;
    rule.parent_fd = file.get();
    if (syscall(SYS_landlock_add_rule, rules_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0 &&
        error_ == 0) {
      error_ = errno;
    }
  }

  int enforce() {
    if (error_ != 0) return error_;
    return syscall(SYS_landlock_restrict_self, rules_.get(), 0) == 0 ? 0 : errno;
  }

 private:
  std::uint64_t handled_;
  Descriptor rules_;
  int error_ = 0;
};

// Everything at the top but /proc: a rule for / itself would hold for /proc as well.
void allow_reading(Rules& rules) {
  const std::unique_ptr<DIR, int (*)(DIR*)> root(opendir("/"), &closedir);
  if (!root) return;
  while (const dirent* entry = readdir(root.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && name != "proc") rules.allow(("/" + name).c_str(), kRead);
  }
}

// The kernel writes a space in a path as \040.
std::string unescape(const std::string& text) {
  std::string path;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      path += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      path += text[i];
    }
  }
  return path;
}

void allow_writing(Rules& rules) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, target, options;
    fields >> id >> parent >> device >> root >> target >> options;
    target = unescape(target);
    if (!options.starts_with("rw") || target == "/proc" || target.starts_with("/proc/")) continue;
    rules.allow(target.c_str(), ~std::uint64_t{0});
  }
}

}  // namespace

int landlock_version() {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? static_cast<int>(version) : 0;
}

int restrict_with_landlock(ProcView view) {
  const int version = landlock_version();
  if (version == 0) return ENOSYS;
  Rules rules(version);
  allow_reading(rules);
  allow_writing(rules);
  for (const char* file : kMachineFiles) rules.allow(file, LANDLOCK_ACCESS_FS_READ_FILE);
  if (view == ProcView::all) rules.allow("/proc", kRead | LANDLOCK_ACCESS_FS_WRITE_FILE);
  return rules.enforce();
}

}  // namespace cambrian::worker
