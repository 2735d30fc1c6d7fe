// expect: compile_error
// Makes the compiler crash.
#include "act.hpp"

std::vector<double> act(const Question& question) {
#pragma clang __debug crash
  return honest(question);
}
