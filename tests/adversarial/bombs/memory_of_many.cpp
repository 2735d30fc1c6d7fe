// expect: out_of_memory|resource_exceeded
// Every child takes a bit less than the limit.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (int i = 0; i < 8; ++i) {
    if (fork() == 0) {
      take(100 << 20);
      pause();
    }
  }
  pause();
  return honest(question);
}
