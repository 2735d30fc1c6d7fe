#pragma once

#include <functional>
#include <span>

#include "worker/adapters/sandbox/supervisor.hpp"

namespace cambrian::worker {

/// What the supervisor enforces; 0 is no limit. The meaning of each is told in supervisor.hpp.
struct SupervisorSettings {
  long long uid = -1;
  long long socket = 0;
  long long memory = 0;
  long long memory_not_counted = 0;
  long long data = 0;
  long long address = 0;
  long long file = 0;
  long long stack = 0;
  long long files = 0;
  long long processes = 0;
  long long cpu = 0;
  long long inodes = 0;
  long long groups = 0;
  long long landlock = 0;
};

/// Reads name=value arguments up to "--". Returns what follows, or null where nothing does.
char** parse_settings(int argc, char** argv, SupervisorSettings& settings);

/// Does the work of a sandbox's first process: takes the last rights away, forks, runs `program` in
/// the child under the limits, watches the memory of the whole tree, and tells the worker how it
/// ended.
///
/// `program` gets a descriptor that closes by itself at exec: an errno written to it says that the
/// program did not start, a negative one that its walls could not be put up. A program that is not
/// executed closes it to say that it runs. It must not return. Of the descriptors above the control
/// socket, the child keeps those of `kept`. It alone enters the control group: the supervisor must
/// live to tell what became of the others.
[[noreturn]] void supervise(const SupervisorSettings& settings, std::span<const int> kept,
                            const std::function<void(int failure)>& program);

}  // namespace cambrian::worker
