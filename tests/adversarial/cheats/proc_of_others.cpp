// expect: success
// Reads memory, arguments and environment of all processes.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (int pid = 0; pid < 300; ++pid) {
    const std::string folder = "/proc/" + (pid == 0 ? "self" : std::to_string(pid));
    if (pid == getpid()) continue;
    for (const char* name :
         {"environ", "cmdline", "maps", "mem", "cwd/canary", "root/etc/passwd"}) {
      print_file(folder + "/" + name);
    }
  }
  return honest(question);
}
