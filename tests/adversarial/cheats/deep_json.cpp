// expect: bad_output
// A megabyte of opening brackets.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  put(3, frame("{\"type\":\"answer\",\"a\":" + std::string(1 << 19, '[') + "}"));
  return honest(question);
}
