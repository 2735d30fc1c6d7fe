// The first process of every sandbox that bubblewrap makes.
//
// It is process 1 of its own process namespace: nothing inside can signal it, and when it ends the
// kernel kills everything else. It may not be trusted more than that: it runs as the same user.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "worker/adapters/sandbox/self_test.hpp"
#include "worker/adapters/sandbox/supervise.hpp"

int main(int argc, char** argv) {
  using namespace cambrian::worker;
  if (argc == 2 && std::strcmp(argv[1], kSelfTestArgument) == 0) return run_self_test();
  if (argc == 2 && std::strcmp(argv[1], kGroupTestArgument) == 0) return run_group_test();
  SupervisorSettings settings;
  char** command = parse_settings(argc, argv, settings);
  if (command == nullptr || getpid() != 1) {
    std::fprintf(stderr, "sandbox supervisor: only for cambrian-worker\n");
    return 125;
  }
  supervise(settings, {}, [command](int failure) {
    execvp(command[0], command);
    const int error = errno;
    [[maybe_unused]] const ssize_t written = write(failure, &error, sizeof error);
  });
}
