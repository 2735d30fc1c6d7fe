#include "worker/adapters/sandbox/control_groups.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <set>
#include <thread>

#include "common/log/log.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

// Folders of workers: this, the process id, and a number where that is taken.
constexpr std::string_view kPrefix = "cambrian-sandboxes-";
constexpr int kNamesMax = 100;
// How long processes that were killed may take to go.
constexpr std::chrono::seconds kRemovePatience(5);
constexpr int kRemoveStepMilliseconds = 2;
constexpr long long kCpuPeriodMicroseconds = 100'000;
// What a process has by default, and how often that at most fits into a weight of the kernel.
constexpr unsigned kWeightOfCore = 100;
constexpr unsigned kSharesOfCore = 1024;
constexpr unsigned kWeightCoresMax = 100;

// The kernel makes the files of a group, and nobody else can. In a made-up tree there are none.
bool write_file(const fs::path& path, const std::string& text) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Value of a line `NAME NUMBER`; 0 where there is none.
long long number_of(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  for (long long value = 0; file >> word >> value;) {
    if (word == name) return value;
  }
  return 0;
}

bool is_there(const fs::path& path) { return access(path.c_str(), F_OK) == 0; }

void kill_group(const fs::path& group) {
  if (is_there(group / "cgroup.kill") && write_file(group / "cgroup.kill", "1")) return;
  std::ifstream processes(group / "cgroup.procs");
  for (pid_t process = 0; processes >> process;) {
    // 0 is one of another process namespace.
    if (process > 0) kill(process, SIGKILL);
  }
}

// Kills what is in it. False where it is still there.
bool remove_group(const fs::path& group) {
  const auto deadline = std::chrono::steady_clock::now() + kRemovePatience;
  while (rmdir(group.c_str()) != 0) {
    if (errno == ENOENT) return true;
    if (errno != EBUSY || std::chrono::steady_clock::now() > deadline) return false;
    kill_group(group);
    poll(nullptr, 0, kRemoveStepMilliseconds);
  }
  return true;
}

bool remove_groups_below(const fs::path& parent) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    if (entry.is_directory(error)) remove_group(entry.path());
  }
  return remove_group(parent);
}

Descriptor lock_folder(const fs::path& folder) {
  Descriptor lock(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock && flock(lock.get(), LOCK_EX | LOCK_NB) != 0) lock.reset();
  return lock;
}

// Of workers that were killed. The lock on the first folder is a worker's sign of life.
void remove_leftovers(const GroupPlaces& places) {
  const auto folders = places.folders();
  std::set<std::string> names;
  std::error_code error;
  for (const fs::path& folder : folders) {
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      std::string name = entry.path().filename().string();
      if (name.starts_with(kPrefix)) names.insert(std::move(name));
    }
  }
  for (const std::string& name : names) {
    const Descriptor lock = lock_folder(folders[0] / name);
    if (!lock && is_there(folders[0] / name)) continue;
    bool is_removed = true;
    for (std::size_t i = folders.size(); i-- > 0;) {
      is_removed = remove_groups_below(folders[i] / name) && is_removed;
    }
    log::warn("control_groups_of_dead_worker_found", {{"name", name}, {"is_removed", is_removed}});
  }
}

Error refusal(const std::string& what, const fs::path& path) {
  const int error = errno;
  const bool is_denied = error == EACCES || error == EPERM || error == EROFS;
  return {is_denied ? Errc::denied : Errc::unavailable,
          what + ": path=" + path.string() + " error=" + std::strerror(error) +
              (is_denied ? " (with systemd: Delegate=yes)" : "")};
}

std::string switched_on(const GroupPlaces& places) {
  return places.cpu.empty() ? "+memory +pids" : "+memory +pids +cpu";
}

// Lets groups below this one of version 2 have limits. It may hold no processes then.
Status switch_controllers_on(const GroupPlaces& places) {
  const fs::path switches = places.memory / "cgroup.subtree_control";
  if (write_file(switches, switched_on(places))) return {};
  if (errno != EBUSY) return fail(refusal("control group has no limits to give", switches));
  const fs::path own = places.memory / kWorkerGroup;
  if (mkdir(own.c_str(), 0755) != 0 && errno != EEXIST) {
    return fail(refusal("no control group can be made", own));
  }
  if (!write_file(own / "cgroup.procs", "0")) {
    return fail(refusal("the worker cannot leave its control group", own));
  }
  if (write_file(switches, switched_on(places))) return {};
  write_file(places.memory / "cgroup.procs", "0");
  rmdir(own.c_str());
  return fail(Errc::denied,
              "other processes share the worker's control group, it must have one of "
              "its own: path=" +
                  places.memory.string());
}

GroupPlaces below(const GroupPlaces& places, const std::string& name) {
  GroupPlaces inner = places;
  for (fs::path* folder : {&inner.memory, &inner.pids, &inner.cpu}) {
    if (!folder->empty()) *folder /= name;
  }
  return inner;
}

// Groups share the processor as tasks do: without a weight, all sandboxes together would get as
// much as one process beside them.
void set_weight(const GroupPlaces& group, unsigned cores) {
  if (group.cpu.empty()) return;
  cores = std::min(std::max(cores, 1U), kWeightCoresMax);
  if (group.is_unified) {
    write_file(group.cpu / "cpu.weight", std::to_string(kWeightOfCore * cores));
  } else {
    write_file(group.cpu / "cpu.shares", std::to_string(kSharesOfCore * cores));
  }
}

// In all hierarchies, or in none.
Status make_folders(const GroupPlaces& places) {
  const auto folders = places.folders();
  for (std::size_t i = 0; i < folders.size(); ++i) {
    if (mkdir(folders[i].c_str(), 0755) == 0) continue;
    Error error = refusal("no control group can be made", folders[i]);
    while (i-- > 0) rmdir(folders[i].c_str());
    return fail(std::move(error));
  }
  return {};
}

Status write_limits(const GroupPlaces& group, const GroupLimits& limits) {
  const auto must = [](const fs::path& path, long long value) -> Status {
    if (write_file(path, std::to_string(value))) return {};
    return fail(refusal("a limit cannot be set", path));
  };
  const long long quota = limits.cores * kCpuPeriodMicroseconds;
  const auto all_cores = std::thread::hardware_concurrency();
  set_weight(group, limits.cores > 0 ? static_cast<unsigned>(limits.cores) : all_cores);
  CAMBRIAN_TRY_STATUS(must(group.pids / "pids.max", limits.processes));
  if (group.is_unified) {
    CAMBRIAN_TRY_STATUS(must(group.memory / "memory.max", limits.memory_bytes));
    // Kernels without swap have no such file.
    write_file(group.memory / "memory.swap.max", "0");
    // One process that needs too much ends all.
    CAMBRIAN_TRY_STATUS(must(group.memory / "memory.oom.group", 1));
    if (group.cpu.empty() || limits.cores == 0) return {};
    if (write_file(group.cpu / "cpu.max",
                   std::to_string(quota) + " " + std::to_string(kCpuPeriodMicroseconds))) {
      return {};
    }
    return fail(refusal("a limit cannot be set", group.cpu / "cpu.max"));
  }
  CAMBRIAN_TRY_STATUS(must(group.memory / "memory.limit_in_bytes", limits.memory_bytes));
  // Memory and swap together: only what is not less than the former is taken.
  write_file(group.memory / "memory.memsw.limit_in_bytes", std::to_string(limits.memory_bytes));
  if (group.cpu.empty() || limits.cores == 0) return {};
  CAMBRIAN_TRY_STATUS(must(group.cpu / "cpu.cfs_period_us", kCpuPeriodMicroseconds));
  return must(group.cpu / "cpu.cfs_quota_us", quota);
}

}  // namespace

Result<std::unique_ptr<ControlGroup>> ControlGroup::make(const GroupPlaces& places,
                                                         const GroupLimits& limits) {
  CAMBRIAN_TRY_STATUS(make_folders(places));
  std::unique_ptr<ControlGroup> group(new ControlGroup(places));
  CAMBRIAN_TRY_STATUS(write_limits(places, limits));
  for (const fs::path& folder : places.folders()) {
    // A fork has one thread. Version 1 moves that alone, which needs no lock of the whole machine.
    const fs::path door = folder / (places.is_unified ? "cgroup.procs" : "tasks");
    group->doors_.emplace_back(open(door.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!group->doors_.back()) return fail(refusal("control group cannot be entered", door));
  }
  return group;
}

ControlGroup::~ControlGroup() {
  doors_.clear();
  const auto folders = places_.folders();
  for (std::size_t i = folders.size(); i-- > 0;) {
    if (remove_group(folders[i])) continue;
    log::warn("control_group_not_removed",
              {{"path", folders[i].string()}, {"cause", std::strerror(errno)}});
  }
}

GroupEvents ControlGroup::events() const {
  const char* file = places_.is_unified ? "memory.events" : "memory.oom_control";
  return {.is_memory_exceeded = number_of(places_.memory / file, "oom_kill") > 0,
          .are_processes_exceeded = number_of(places_.pids / "pids.events", "max") > 0};
}

Result<std::unique_ptr<ControlGroups>> ControlGroups::open(const GroupSources& sources) {
  CAMBRIAN_TRY(const GroupPlaces found, find_group_places(sources));
  remove_leftovers(found);
  if (found.is_unified) CAMBRIAN_TRY_STATUS(switch_controllers_on(found));
  for (int i = 0; i < kNamesMax; ++i) {
    const std::string number = std::to_string(getpid()) + "-" + std::to_string(i);
    const GroupPlaces own = below(found, std::string(kPrefix) + number);
    if (is_there(own.memory)) continue;
    CAMBRIAN_TRY_STATUS(make_folders(own));
    Descriptor lock = lock_folder(own.memory);
    // Somebody who began at the same moment took it for a leftover.
    if (!lock || !is_there(own.memory)) continue;
    set_weight(own, std::thread::hardware_concurrency());
    std::unique_ptr<ControlGroups> groups(new ControlGroups(own, std::move(lock)));
    if (!own.is_unified) return groups;
    const fs::path switches = own.memory / "cgroup.subtree_control";
    if (write_file(switches, switched_on(own))) return groups;
    return fail(refusal("control group has no limits to give", switches));
  }
  return fail(Errc::unavailable, "no free name for control groups: path=" + found.memory.string());
}

ControlGroups::~ControlGroups() {
  const auto folders = places_.folders();
  for (std::size_t i = folders.size(); i-- > 0;) remove_groups_below(folders[i]);
}

Result<std::unique_ptr<ControlGroup>> ControlGroups::make(const GroupLimits& limits) {
  return ControlGroup::make(below(places_, std::to_string(made_++)), limits);
}

std::string ControlGroups::text() const {
  const char* swap = places_.is_unified ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
  return std::string("control group ") + (places_.is_unified ? "v2" : "v1") + ": memory" +
         (is_there(places_.memory / swap) ? ", swap" : "") + ", processes" +
         (places_.cpu.empty() ? "" : ", processor");
}

}  // namespace cambrian::worker
