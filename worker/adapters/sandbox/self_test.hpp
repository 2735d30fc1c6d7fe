#pragma once

#include <cstdint>

namespace cambrian::worker {

/// The only argument with which cambrian-sandbox-init, started as the program of a sandbox, tries
/// out the walls around it.
inline constexpr const char* kSelfTestArgument = "self-test";

/// Prints a line `name=value` for each wall, as seen from inside:
///   user, mnt, pid, net, ipc, uts, cgroup   the namespace, as /proc/self/ns names it
///   seccomp      1: a filter is on, and mounting is refused
///   call_list    1: system calls that are on no list do not exist
///   privileges   1: no_new_privs is set, and there is no capability
///   root         1: no home, no /etc/passwd, and only /tmp can be written
///   limits       1: the limits of the supervisor hold
///   landlock     1: /proc/self/mountinfo cannot be opened
/// Returns 0.
int run_self_test();

/// The same for the control group. In one that may have one process and kGroupTestBytes of memory,
/// it tries to start another process and to use more memory, by which the kernel ends it.
inline constexpr const char* kGroupTestArgument = "group-test";
inline constexpr std::int64_t kGroupTestBytes = 32 << 20;

/// Returns 0 where nobody ended it.
int run_group_test();

}  // namespace cambrian::worker
