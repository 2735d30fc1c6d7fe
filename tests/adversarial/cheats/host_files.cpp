// expect: success
// Reads what a worker has: accounts, keys, its environment.
#include "act.hpp"

// The test defines CANARY_FILE: the path of a real file of the worker's user.

std::vector<double> act(const Question& question) {
  for (const char* path : {"/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/hosts",
                           "/root/.ssh/id_rsa", "/root/.bashrc", "/home", "/var/run/docker.sock",
                           "/run/secrets", "/sys/class/net/eth0/address", "/proc/cmdline",
                           "/proc/sys/kernel/random/boot_id", CANARY_FILE}) {
    print_file(path);
  }
  return honest(question);
}
