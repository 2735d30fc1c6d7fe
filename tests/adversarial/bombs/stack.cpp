// expect: crash|out_of_memory
// Recurses without end.
#include "act.hpp"

std::vector<double> dive(const Question& question, int depth) {
  volatile char room[1 << 16];
  room[0] = static_cast<char>(depth);
  std::vector<double> answers = dive(question, depth + 1);
  answers[0] += room[0];
  return answers;
}

std::vector<double> act(const Question& question) { return dive(question, 0); }
