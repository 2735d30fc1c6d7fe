// expect: resource_exceeded
// Children that nobody waits for.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (;;) {
    if (fork() == 0) _exit(0);
  }
}
