// expect: not_finite
// NaN compares with nothing: neither right nor wrong.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  std::vector<double> answers = honest(question);
  for (double& value : answers) value = __builtin_nan("");
  return answers;
}
