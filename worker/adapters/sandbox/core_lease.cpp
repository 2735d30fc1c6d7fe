#include "worker/adapters/sandbox/core_lease.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>

namespace cambrian::worker {
namespace {

// Any file that all processes of a machine see would do; this one is there and needs no cleaning.
Descriptor try_lock(int core) {
  const std::string path = "/sys/devices/system/cpu/cpu" + std::to_string(core);
  Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder && flock(folder.get(), LOCK_EX | LOCK_NB) != 0) folder.reset();
  return folder;
}

}  // namespace

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

CoreLease CoreLease::take(int count) {
  static std::atomic<unsigned> turn = 0;
  CoreLease lease;
  std::vector<int> usable = usable_cores();
  const auto wanted = static_cast<std::size_t>(std::max(count, 0));
  if (wanted == 0 || usable.size() <= wanted) return lease;
  // Not always the first ones: other programs of this machine may like these.
  const std::size_t begin = (static_cast<std::size_t>(getpid()) + turn++) % usable.size();
  std::rotate(usable.begin(), usable.begin() + static_cast<std::ptrdiff_t>(begin), usable.end());
  std::vector<int> taken;
  for (const int core : usable) {
    Descriptor lock = lease.cores_.size() < wanted ? try_lock(core) : Descriptor();
    if (!lock) {
      taken.push_back(core);
      continue;
    }
    lease.cores_.push_back(core);
    lease.locks_.push_back(std::move(lock));
  }
  // More evaluations than cores: they share some.
  for (const int core : taken) {
    if (lease.cores_.size() < wanted) lease.cores_.push_back(core);
  }
  return lease;
}

ConfinedThread::ConfinedThread(const std::vector<int>& cores) {
  if (cores.empty() || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(core, &set);
  is_confined_ = sched_setaffinity(0, sizeof set, &set) == 0;
}

ConfinedThread::~ConfinedThread() {
  if (is_confined_) sched_setaffinity(0, sizeof before_, &before_);
}

}  // namespace cambrian::worker
