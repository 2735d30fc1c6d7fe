// expect: compile_error|crash|out_of_memory|success
// A terabyte of zeros that costs nothing on disk.
#include "act.hpp"

char zeros[1L << 40];

std::vector<double> act(const Question& question) {
  std::vector<double> answers = honest(question);
  answers[0] += zeros[answers.size() << 20];
  return answers;
}
