#pragma once

#include <string>

#include "common/base/result.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// The system call filter of a profile as a BPF program, for `bwrap --seccomp`. `has_gpu` leaves
/// what a GPU driver needs. Errors: internal when libseccomp refuses a rule.
Result<std::string> make_seccomp_program(SandboxProfile profile, bool has_gpu);

}  // namespace cambrian::worker
