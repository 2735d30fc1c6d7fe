// expect: bad_output
// Writes a result to every descriptor.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (int i = 0; i < 1024; ++i) put(i, winning_frame());
  return honest(question);
}
