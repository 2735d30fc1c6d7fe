// expect: out_of_memory
// Takes memory without end.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  while (take(1 << 24) != nullptr) continue;
  std::abort();
}
