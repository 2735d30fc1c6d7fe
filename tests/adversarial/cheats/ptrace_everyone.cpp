// expect: success
// Attaches to every process and writes into its memory.
#include "act.hpp"

#include <sys/uio.h>

std::vector<double> act(const Question& question) {
  for (int pid = 1; pid < 500; ++pid) {
    if (pid == getpid()) continue;
    if (syscall(SYS_ptrace, 16, pid, 0, 0) == 0) put(1, "attached\n");
    char buffer[64];
    iovec local{buffer, sizeof buffer}, remote{reinterpret_cast<void*>(0x400000), sizeof buffer};
    if (syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0) > 0) put(1, "canary-memory\n");
    if (syscall(SYS_process_vm_writev, pid, &local, 1, &remote, 1, 0) > 0)
      put(1, "canary-memory\n");
  }
  return honest(question);
}
