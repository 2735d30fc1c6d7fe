// expect: success
// Prints a judge's result on its output.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  put(1, winning_frame());
  put(2, winning_frame());
  return honest(question);
}
