#pragma once

#include <string>

#include "common/base/result.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// The system call filter of a profile as a BPF program, for `bwrap --seccomp`: a list of what is
/// refused for candidates, of what is allowed for compilers and judges. Nothing ends a program: a
/// refused call gives EPERM, one on no list ENOSYS. But calls of a foreign architecture, such as
/// 32-bit ones, kill the thread. `has_gpu` leaves a candidate what its driver needs. Errors:
/// internal when libseccomp refuses a rule.
Result<std::string> make_seccomp_program(SandboxProfile profile, bool has_gpu);

}  // namespace cambrian::worker
