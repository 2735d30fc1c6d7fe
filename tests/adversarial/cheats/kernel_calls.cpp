// expect: success
// Calls that see or change the machine.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (const long call :
       {SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_kexec_load,
        SYS_init_module, SYS_open_by_handle_at, SYS_syslog, SYS_acct, SYS_swapon, SYS_reboot,
        SYS_settimeofday, SYS_clock_settime, SYS_sethostname}) {
    if (syscall(call, 0, 0, 0, 0, 0, 0) >= 0) put(1, "canary-call " + std::to_string(call) + "\n");
  }
  return honest(question);
}
