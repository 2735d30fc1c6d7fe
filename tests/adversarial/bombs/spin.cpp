// expect: timeout
// Computes without end.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (volatile long i = 0;; i = i + 1) continue;
}
