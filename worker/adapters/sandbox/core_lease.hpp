#pragma once

#include <sched.h>

#include <vector>

#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {

/// Cores of this machine for one evaluation (Sandbox::lease_cores).
class CoreLease {
 public:
  /// Takes `count` of the cores that the calling thread may use. Empty where the thread may use no
  /// more than that, or where `count` is 0. Any thread; does not block.
  static CoreLease take(int count);

  const std::vector<int>& cores() const { return cores_; }

 private:
  std::vector<int> cores_;
  std::vector<Descriptor> locks_;
};

/// Confines the thread that makes it, and what this starts, to these cores for as long as it lives;
/// to nothing new where there are none.
class ConfinedThread {
 public:
  explicit ConfinedThread(const std::vector<int>& cores);
  ~ConfinedThread();
  ConfinedThread(const ConfinedThread&) = delete;
  ConfinedThread& operator=(const ConfinedThread&) = delete;

 private:
  bool is_confined_ = false;
  cpu_set_t before_{};
};

/// The cores that the calling thread may use. Empty where the system does not say.
std::vector<int> usable_cores();

}  // namespace cambrian::worker
