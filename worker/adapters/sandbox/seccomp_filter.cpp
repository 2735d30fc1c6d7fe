#include "worker/adapters/sandbox/seccomp_filter.hpp"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "worker/adapters/sandbox/system_calls.hpp"
#include "worker/ports/descriptor.hpp"

// Inside the macros of seccomp.h.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace cambrian::worker {
namespace {

// The same on all architectures, and newer than the names that libseccomp knows: statmount,
// listmount, open_tree_attr.
constexpr std::array kRefusedNumbers = {457, 458, 467};

constexpr std::uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                          CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                          CLONE_NEWCGROUP | CLONE_NEWTIME;

// asm/termbits.h, which has it, does not go together with the C library's header.
constexpr std::uint64_t kTcgets2 = 0x802C542A;

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

// Of a process id the kernel does not look at the upper half.
constexpr std::uint64_t kPid = 0xFFFFFFFF;

// One rule for each of these calls, whatever their arguments.
int add(const Filter& filter, std::uint32_t action, std::span<const char* const> names) {
  for (const char* name : names) {
    const int number = seccomp_syscall_resolve_name(name);
    // This architecture does not have it.
    if (number == __NR_SCMP_ERROR || number < 0) continue;
    if (const int error = seccomp_rule_add(filter.get(), action, number, 0); error != 0) {
      return error;
    }
  }
  return 0;
}

int add(const Filter& filter, std::uint32_t action, const char* name) {
  return add(filter, action, std::span(&name, 1));
}

// The supervisor has the program's user id, so the kernel would let the program take its limits and
// its share of the processor away: it could no longer open /proc and sum up the memory.
int protect_supervisor(const Filter& filter) {
  constexpr unsigned kRefusal = SCMP_ACT_ERRNO(EPERM);
  for (const int call : {SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_setparam),
                         SCMP_SYS(sched_setattr), SCMP_SYS(sched_setaffinity)}) {
    const int error =
        seccomp_rule_add(filter.get(), kRefusal, call, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, kPid, 1));
    if (error != 0) return error;
  }
  // Own limits only. Of priorities those of one process only: groups and users include process 1.
  constexpr int kIoPriorityOfProcess = 1;
  for (const auto& [call, own] :
       {std::pair(SCMP_SYS(prlimit64), 0), std::pair(SCMP_SYS(setpriority), int{PRIO_PROCESS}),
        std::pair(SCMP_SYS(ioprio_set), kIoPriorityOfProcess)}) {
    const int error = seccomp_rule_add(filter.get(), kRefusal, call, 1,
                                       SCMP_A0(SCMP_CMP_NE, static_cast<std::uint64_t>(own)));
    if (error != 0) return error;
  }
  for (const int call : {SCMP_SYS(setpriority), SCMP_SYS(ioprio_set)}) {
    const int error =
        seccomp_rule_add(filter.get(), kRefusal, call, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, kPid, 1));
    if (error != 0) return error;
  }
  return 0;
}

// A deny-list: a GPU driver is reached by calls that nobody lists. What is refused fails with
// EPERM, so that a library which only probes for it goes on.
int add_candidate_rules(const Filter& filter, bool has_gpu) {
  if (const int error = protect_supervisor(filter); error != 0) return error;
  if (const int error = add(filter, SCMP_ACT_ERRNO(EPERM), refused_calls()); error != 0) {
    return error;
  }
  for (const int number : kRefusedNumbers) {
    const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0);
    if (error != 0) return error;
  }
  // The flags of clone3 lie in memory, where a filter cannot look: libraries fall back to clone.
  if (const int error = add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3"); error != 0) return error;
  for (std::uint64_t flag = 1; flag <= kNamespaceFlags; flag <<= 1) {
    if ((kNamespaceFlags & flag) == 0) continue;
    const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                       SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
    if (error != 0) return error;
  }
  // There is no network in here; other families, such as AF_VSOCK, know no namespaces.
  if (const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EAFNOSUPPORT),
                                         SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
      error != 0) {
    return error;
  }
  // Typing into the terminal of whoever started the worker (CVE-2017-5226).
  if (const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                         SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, TIOCSTI));
      error != 0) {
    return error;
  }
  // A candidate has the cores that its worker chose.
  if (const int error = add(filter, SCMP_ACT_ERRNO(EPERM), "sched_setaffinity"); error != 0) {
    return error;
  }
  // Memory files that nobody maps escape the memory limit. The judge sends its data in them.
  return has_gpu ? 0 : add(filter, SCMP_ACT_ERRNO(ENOSYS), "memfd_create");
}

// Calls that are allowed with these arguments only. Limits and priorities are a process's own: the
// supervisor has the same user id.
int allow_some(const Filter& filter) {
  for (const auto& [call, compared] :
       {std::pair(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaceFlags, 0)),
        std::pair(SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_EQ, 0)),
        std::pair(SCMP_SYS(sched_setscheduler), SCMP_A0(SCMP_CMP_MASKED_EQ, kPid, 0)),
        std::pair(SCMP_SYS(sched_setparam), SCMP_A0(SCMP_CMP_MASKED_EQ, kPid, 0)),
        std::pair(SCMP_SYS(sched_setattr), SCMP_A0(SCMP_CMP_MASKED_EQ, kPid, 0)),
        std::pair(SCMP_SYS(sched_setaffinity), SCMP_A0(SCMP_CMP_MASKED_EQ, kPid, 0))}) {
    const int error = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 1, &compared);
    if (error != 0) return error;
  }
  // What programs ask of files and pipes; there is no device that has more to say.
  for (const std::uint64_t request :
       {std::uint64_t{TCGETS}, kTcgets2, std::uint64_t{TIOCGWINSZ}, std::uint64_t{FIOCLEX},
        std::uint64_t{FIONCLEX}, std::uint64_t{FIONBIO}, std::uint64_t{FIONREAD}}) {
    const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                       SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, request));
    if (error != 0) return error;
  }
  return seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(setpriority), 2,
                          SCMP_A0(SCMP_CMP_EQ, PRIO_PROCESS), SCMP_A1(SCMP_CMP_MASKED_EQ, kPid, 0));
}

// An allow-list: what is on no list does not exist (ENOSYS), and libraries take the older way. What
// is known to be refused says so.
int add_listed_rules(const Filter& filter, SandboxProfile profile) {
  if (const int error = add(filter, SCMP_ACT_ERRNO(EPERM), refused_calls()); error != 0) {
    return error;
  }
  if (const int error = add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket"); error != 0) {
    return error;
  }
  if (const int error = add(filter, SCMP_ACT_ALLOW, common_calls()); error != 0) return error;
  if (const int error = allow_some(filter); error != 0) return error;
  return profile == SandboxProfile::judge ? add(filter, SCMP_ACT_ALLOW, "memfd_create")
                                          : add(filter, SCMP_ACT_ALLOW, build_calls());
}

}  // namespace

Result<std::string> make_seccomp_program(SandboxProfile profile, bool has_gpu) {
  // Foreign architectures (32-bit calls) are killed: that is libseccomp's default.
  const bool is_listed = profile != SandboxProfile::candidate;
  const Filter filter(seccomp_init(is_listed ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_ALLOW),
                      &seccomp_release);
  if (!filter) return fail(Errc::internal, "seccomp filter was not made");
  const int error =
      is_listed ? add_listed_rules(filter, profile) : add_candidate_rules(filter, has_gpu);
  if (error != 0) {
    return fail(Errc::internal, std::string("seccomp rule was refused: ") + std::strerror(-error));
  }
  const Descriptor file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file || seccomp_export_bpf(filter.get(), file.get()) != 0) {
    return fail(Errc::internal, "seccomp filter was not exported");
  }
  const off_t size = lseek(file.get(), 0, SEEK_END);
  std::string program(static_cast<std::size_t>(size), '\0');
  if (pread(file.get(), program.data(), program.size(), 0) != size) {
    return fail(Errc::internal, "seccomp filter was not read back");
  }
  return program;
}

}  // namespace cambrian::worker

#pragma GCC diagnostic pop
