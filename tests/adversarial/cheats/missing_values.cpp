// expect: bad_output
// Answers with fewer numbers than it was asked for.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  std::vector<double> answers = honest(question);
  answers.pop_back();
  return answers;
}
