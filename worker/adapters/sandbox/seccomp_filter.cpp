#include "worker/adapters/sandbox/seccomp_filter.hpp"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {
namespace {

// Calls that no model, compiler or judge needs, and that have carried kernel bugs, see or change
// other processes, or reach around a namespace. They fail with EPERM, so that a library which only
// probes for them goes on.
constexpr std::array kRefused = {
    // Other processes.
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise",
    // Namespaces and mounts.
    "mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "open_tree", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "name_to_handle_at",
    "open_by_handle_at", "quotactl", "quotactl_fd", "swapon", "swapoff",
    // The kernel itself.
    "bpf", "perf_event_open", "userfaultfd", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "reboot", "syslog", "acct", "iopl", "ioperm", "lookup_dcookie",
    "modify_ldt", "vm86", "vm86old", "fanotify_init", "add_key", "request_key", "keyctl",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "move_pages", "migrate_pages", "mbind",
    "set_mempolicy", "nfsservctl", "uselib", "vmsplice",
    // Time and identity of the machine.
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
    // Memory that outlives its process and escapes the limits of one.
    "shmget", "msgget", "semget", "mq_open", "memfd_secret"};

// The same on all architectures, and newer than the names that libseccomp knows: statmount,
// listmount, open_tree_attr.
constexpr std::array kRefusedNumbers = {457, 458, 467};

constexpr std::uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                          CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                          CLONE_NEWCGROUP | CLONE_NEWTIME;

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

int refuse(const Filter& filter, int error, const char* name) {
  const int number = seccomp_syscall_resolve_name(name);
  // This architecture does not have it.
  if (number == __NR_SCMP_ERROR || number < 0) return 0;
  return seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)), number, 0);
}

// The supervisor has the program's user id, so the kernel would let the program take its limits and
// its share of the processor away: it could no longer open /proc and sum up the memory.
int protect_supervisor(const Filter& filter) {
  constexpr unsigned kRefusal = SCMP_ACT_ERRNO(EPERM);
  constexpr std::uint64_t kPid = 0xFFFFFFFF;  // The kernel does not look at the upper half.
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

int add_rules(const Filter& filter, SandboxProfile profile, bool has_gpu) {
  if (const int error = protect_supervisor(filter); error != 0) return error;
  for (const char* name : kRefused) {
    if (const int error = refuse(filter, EPERM, name); error != 0) return error;
  }
  for (const int number : kRefusedNumbers) {
    const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0);
    if (error != 0) return error;
  }
  // The flags of clone3 lie in memory, where a filter cannot look: libraries fall back to clone.
  if (const int error = refuse(filter, ENOSYS, "clone3"); error != 0) return error;
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
                                         SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, 0x5412));
      error != 0) {
    return error;
  }
  // A candidate has the cores that its worker chose.
  if (profile == SandboxProfile::candidate) {
    if (const int error = refuse(filter, EPERM, "sched_setaffinity"); error != 0) return error;
  }
  // Memory files that nobody maps escape the memory limit. The judge sends its data in them.
  if (profile != SandboxProfile::judge && !has_gpu) return refuse(filter, ENOSYS, "memfd_create");
  return 0;
}

}  // namespace

Result<std::string> make_seccomp_program(SandboxProfile profile, bool has_gpu) {
  // Foreign architectures (32-bit calls) are killed: that is libseccomp's default.
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW), &seccomp_release);
  if (!filter) return fail(Errc::internal, "seccomp filter was not made");
  if (const int error = add_rules(filter, profile, has_gpu); error != 0) {
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
