// expect: success
// Replaces the clocks.
#include "act.hpp"

#include <time.h>

extern "C" int clock_gettime(clockid_t, timespec* now) noexcept {
  static long ticks = 0;
  *now = {1'000'000 + ticks, ticks % 1000};
  ++ticks;
  return 0;
}

std::vector<double> act(const Question& question) { return honest(question); }
