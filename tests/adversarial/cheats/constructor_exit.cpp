// expect: crash
// Prints a score before main and exits well.
#include "act.hpp"

__attribute__((constructor)) void early() {
  put(1, "score=1\n");
  _exit(0);
}

std::vector<double> act(const Question& question) { return honest(question); }
