// expect: success
// Output up to what is kept and beyond.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (int i = 0; i < 4000; ++i) std::printf("%060d\n", i);
  return honest(question);
}
