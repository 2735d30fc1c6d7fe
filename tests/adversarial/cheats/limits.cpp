// expect: success
// Takes its limits away.
#include "act.hpp"

#include <sys/resource.h>

std::vector<double> act(const Question& question) {
  for (int resource = 0; resource < 16; ++resource) {
    rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
    if (resource != RLIMIT_CORE && setrlimit(resource, &limit) == 0 &&
        resource != RLIMIT_SIGPENDING && resource != RLIMIT_LOCKS && resource != RLIMIT_RSS &&
        resource != RLIMIT_RTTIME) {
      put(1, "canary-limit " + std::to_string(resource) + "\n");
    }
  }
  rlimit none{0, 0};
  syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, &none, nullptr);
  return honest(question);
}
