// expect: not_finite
// Answers with infinities.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  std::vector<double> answers = honest(question);
  answers.back() = __builtin_inf();
  return answers;
}
