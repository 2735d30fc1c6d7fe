// expect: bad_output
// Answers with more numbers than it was asked for.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  std::vector<double> answers = honest(question);
  answers.resize(1000, 1.0);
  return answers;
}
