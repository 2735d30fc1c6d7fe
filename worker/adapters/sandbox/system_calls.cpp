#include "worker/adapters/sandbox/system_calls.hpp"

#include <array>

namespace cambrian::worker {
namespace {

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

constexpr std::array kCommon = {
    // Open files.
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2",
    "pwritev2", "lseek", "_llseek", "open", "openat", "openat2", "creat", "close", "close_range",
    "dup", "dup2", "dup3", "fcntl", "fcntl64", "flock", "fsync", "fdatasync", "sync_file_range",
    "truncate", "truncate64", "ftruncate", "ftruncate64", "fallocate", "fadvise64", "readahead",
    "sendfile", "sendfile64", "copy_file_range", "splice", "tee", "pipe", "pipe2",
    // Names of files, and what is known of them.
    "stat", "stat64", "fstat", "fstat64", "lstat", "lstat64", "newfstatat", "fstatat64", "statx",
    "statfs", "statfs64", "fstatfs", "fstatfs64", "access", "faccessat", "faccessat2", "readlink",
    "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir", "umask", "mkdir",
    "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "chmod", "fchmod",
    "fchmodat", "fchmodat2", "utime", "utimes", "utimensat", "futimesat", "getxattr", "lgetxattr",
    "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    // Semaphores with a name, which Python's processes share, are made by a link.
    "link", "linkat",
    // Memory.
    "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "brk", "mlock",
    "munlock", "membarrier", "get_mempolicy",
    // Threads and processes. clone and what acts on other processes have conditions of their own.
    "fork", "vfork", "execve", "exit", "exit_group", "wait4", "waitpid", "waitid",
    "set_tid_address", "set_robust_list", "get_robust_list", "rseq", "arch_prctl", "set_tls",
    "prctl", "futex", "futex_time64", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue",
    "getpid", "getppid", "gettid", "getpgid", "getpgrp", "getsid", "setsid", "setpgid", "getrlimit",
    "ugetrlimit", "setrlimit", "getrusage", "times", "sysinfo", "uname", "getcpu", "getpriority",
    "ioprio_get", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "sched_getattr", "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval",
    // Users: the supervisor gives its rights up, and nobody gets any back.
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid",
    "setgid", "setresuid", "setresgid", "setreuid", "setregid", "setgroups", "capget", "capset",
    "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
    // Signals.
    "kill", "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "rt_sigtimedwait", "rt_sigsuspend", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sigreturn",
    "sigaltstack", "pause", "alarm", "signalfd", "signalfd4", "restart_syscall",
    // Time and waiting.
    "clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep", "nanosleep",
    "gettimeofday", "time", "getitimer", "setitimer", "timer_create", "timer_settime",
    "timer_gettime", "timer_getoverrun", "timer_delete", "timerfd_create", "timerfd_settime",
    "timerfd_gettime", "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "eventfd", "eventfd2", "getrandom",
    // Sockets that are there already: no address can be bound or reached.
    "socketpair", "sendto", "sendmsg", "recvfrom", "recvmsg", "recv", "send", "shutdown",
    "getsockopt", "setsockopt", "getsockname", "getpeername"};

constexpr std::array kBuild = {"symlink", "symlinkat", "chown", "fchown",
                               "lchown",  "fchownat",  "mknod", "mknodat"};

}  // namespace

std::span<const char* const> refused_calls() { return kRefused; }
std::span<const char* const> common_calls() { return kCommon; }
std::span<const char* const> build_calls() { return kBuild; }

}  // namespace cambrian::worker
