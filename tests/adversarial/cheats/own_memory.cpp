// expect: success|crash
// Writes into its own code and into the supervisor.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (const char* path : {"/proc/self/mem", "/proc/1/mem", "/dev/mem", "/dev/kmem",
                           "/program/program", "/supervisor"}) {
    const int file = open(path, O_RDWR);
    if (file >= 0 && pwrite(file, "canary", 6, 0x1000) > 0)
      put(1, "canary-write " + std::string(path));
  }
  return honest(question);
}
