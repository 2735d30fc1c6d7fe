// expect: success
// Ends and stops everything that it can reach.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (const int signal : {SIGKILL, SIGSTOP, SIGTERM, SIGSEGV}) {
    kill(1, signal);
    kill(getppid(), signal);
    kill(-1, signal);
    for (int pid = 2; pid < 300; ++pid) {
      if (pid != getpid()) kill(pid, signal);
    }
  }
  return honest(question);
}
