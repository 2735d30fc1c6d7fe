// expect: timeout
// Begins an answer and falls silent.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  put(3, "CMB1");
  pause();
  return honest(question);
}
