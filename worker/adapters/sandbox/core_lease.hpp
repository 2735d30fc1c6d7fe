#pragma once

#include <sched.h>

#include <vector>

#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {

/// Cores for one sandbox. As long as there are enough, no two leases of this machine have the same
/// one, whichever process took them: so two evaluations do not slow each other down, and none gets
/// more than it was promised, however many threads it starts.
class CoreLease {
 public:
  /// Takes `count` of the cores that the calling thread may use. Empty where the thread may use no
  /// more than that, or where `count` is 0. Any thread; does not block.
  static CoreLease take(int count);

  /// Confines the calling thread, and what it starts, to these cores; nothing where there are none.
  void confine_thread() const;
  /// Gives the calling thread back what it could use before.
  void free_thread() const;

 private:
  std::vector<int> cores_;
  std::vector<Descriptor> locks_;
  cpu_set_t allowed_{};
};

/// The cores that the calling thread may use. Empty where the system does not say.
std::vector<int> usable_cores();

}  // namespace cambrian::worker
