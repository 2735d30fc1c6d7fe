// expect: bad_output|crash
// Sends a result when it exits.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  std::atexit([] {
    for (int i = 0; i < 256; ++i) put(i, winning_frame());
  });
  std::exit(0);
}
