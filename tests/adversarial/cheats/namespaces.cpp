// expect: success
// Makes namespaces and mounts of its own.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (const unsigned flag : {0x10000000U, 0x00020000U, 0x20000000U, 0x40000000U, 0x08000000U}) {
    if (syscall(SYS_unshare, flag) == 0) put(1, "canary-namespace\n");
  }
  if (syscall(SYS_mount, "none", "/tmp", "proc", 0, nullptr) == 0) put(1, "canary-mount\n");
  if (syscall(SYS_chroot, "/tmp") == 0) put(1, "canary-chroot\n");
  const int self = open("/proc/self/ns/mnt", O_RDONLY);
  if (syscall(SYS_setns, self, 0) == 0) put(1, "canary-setns\n");
  return honest(question);
}
