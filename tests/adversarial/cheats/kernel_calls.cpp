// expect: success
// Calls that see or change the machine. A bad argument is no answer to them: who hears of it got
// through to the kernel.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (const long call : {SYS_bpf,
                          SYS_perf_event_open,
                          SYS_userfaultfd,
                          SYS_io_uring_setup,
                          SYS_kexec_load,
                          SYS_init_module,
                          SYS_open_by_handle_at,
                          SYS_syslog,
                          SYS_acct,
                          SYS_swapon,
                          SYS_reboot,
                          SYS_settimeofday,
                          SYS_clock_settime,
                          SYS_sethostname,
                          SYS_mount,
                          SYS_ptrace,
                          SYS_kcmp,
                          SYS_keyctl,
                          SYS_add_key,
                          SYS_fanotify_init,
                          SYS_name_to_handle_at,
                          SYS_process_vm_readv}) {
    const long result = syscall(call, -1, -1, -1, -1, -1, -1);
    if (result >= 0 || (errno != EPERM && errno != ENOSYS)) {
      put(1, "canary-call " + std::to_string(call) + " " + std::to_string(errno) + "\n");
    }
  }
  return honest(question);
}
