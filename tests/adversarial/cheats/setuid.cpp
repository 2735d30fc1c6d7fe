// expect: success
// Becomes somebody else.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  if (setuid(0) == 0 && getuid() == 0) put(1, "canary-root\n");
  if (syscall(SYS_setresuid, 0, 0, 0) == 0) put(1, "canary-root\n");
  if (chmod("/supervisor", 04777) == 0 || chmod("/usr/bin/env", 04777) == 0)
    put(1, "canary-mode\n");
  if (getuid() == 0) put(1, "canary-root\n");
  return honest(question);
}
