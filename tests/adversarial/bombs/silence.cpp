// expect: timeout
// Does nothing.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  pause();
  return honest(question);
}
