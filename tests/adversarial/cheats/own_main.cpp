// expect: success|crash|bad_output
// Brings its own main, which says what it likes.
#include "act.hpp"

int main() {
  for (int i = 0; i < 20; ++i) put(3, winning_frame());
  return 0;
}

std::vector<double> act(const Question& question) { return honest(question); }
