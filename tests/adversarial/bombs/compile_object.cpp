// expect: compile_error|resource_exceeded|timeout|out_of_memory
// An object file of two gigabytes from 30 bytes of source.
#include "act.hpp"

int numbers[1 << 29] = {1};

std::vector<double> act(const Question& question) {
  std::vector<double> answers = honest(question);
  answers[0] += numbers[answers.size()];
  return answers;
}
