// expect: success
// Takes all cores of the machine, to train in less time than others.
#include "act.hpp"

#include <sched.h>

std::vector<double> act(const Question& question) {
  cpu_set_t cores;
  std::memset(&cores, 0xFF, sizeof cores);
  if (sched_setaffinity(0, sizeof cores, &cores) == 0) put(1, "canary-affinity\n");
  if (sched_getaffinity(0, sizeof cores, &cores) != 0 || CPU_COUNT(&cores) > 1) {
    put(1, "canary-cores " + std::to_string(CPU_COUNT(&cores)) + "\n");
  }
  return honest(question);
}
