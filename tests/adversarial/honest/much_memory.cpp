// expect: success
// Three quarters of its memory.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  static std::vector<char> room(190 << 20, 'x');
  std::vector<double> answers = honest(question);
  answers[0] += room[answers.size()] - 'x';
  return answers;
}
