// expect: success
// Speaks for the process that watches it: says on every socket that all has ended well, and fetches
// its sockets from it.
#include "act.hpp"

namespace {

// As a supervisor reports the end of a sandbox: worker/adapters/sandbox/supervisor.hpp.
struct Record {
  std::int32_t event = 3;
  std::int32_t value = 0;
  std::int32_t processes_peak = 1;
  std::uint8_t flags[4] = {};
  std::int64_t cpu_nanoseconds = 1;
  std::int64_t memory_peak_bytes = 1;
};

}  // namespace

std::vector<double> act(const Question& question) {
  const Record record;
  // Standard output is a log, and 3 the judge's stream, to which it would be nonsense.
  for (int i = 4; i < 1024; ++i) {
    if (send(i, &record, sizeof record, MSG_NOSIGNAL) >= 0) put(1, "canary-socket\n");
  }
  for (int process = 1; process < 16; ++process) {
    const auto watched = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
    for (int i = 0; watched >= 0 && process != getpid() && i < 16; ++i) {
      const auto stolen = static_cast<int>(syscall(SYS_pidfd_getfd, watched, i, 0));
      if (stolen < 0) continue;
      put(1, "canary-stolen\n");
      send(stolen, &record, sizeof record, MSG_NOSIGNAL);
    }
  }
  return honest(question);
}
