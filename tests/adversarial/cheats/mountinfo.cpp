// expect: success
// Prints the mounts, which name folders of the host.
#include "act.hpp"

namespace {

constexpr long kStatmount = 457;
constexpr long kListmount = 458;

// Newer calls, which need no /proc.
void list_mounts() {
  std::uint64_t request[4] = {24, ~std::uint64_t{0}, 0, 0};
  std::uint64_t mounts[64] = {};
  const long count = syscall(kListmount, request, mounts, 64, 0);
  if (count >= 0) put(1, "canary-mounts " + std::to_string(count) + "\n");
  static char text[16384];
  request[1] = mounts[0];
  request[2] = ~std::uint64_t{0} >> 32;
  if (syscall(kStatmount, request, text, sizeof text, 0) == 0) put(1, "canary-mount\n");
}

}  // namespace

std::vector<double> act(const Question& question) {
  for (const char* name : {"mountinfo", "mounts", "mountstats", "cgroup", "maps", "environ"}) {
    print_file("/proc/self/" + std::string(name));
    print_file("/proc/thread-self/" + std::string(name));
  }
  list_mounts();
  return honest(question);
}
