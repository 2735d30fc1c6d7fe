// expect: success
// Prints the mounts, which name folders of the host.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (const char* name : {"mountinfo", "mounts", "mountstats", "cgroup", "maps", "environ"}) {
    print_file("/proc/self/" + std::string(name));
    print_file("/proc/thread-self/" + std::string(name));
  }
  return honest(question);
}
