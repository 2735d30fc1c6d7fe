// expect: success
// Scratch files, links and renames between folders.
#include "act.hpp"

#include <fstream>

std::vector<double> act(const Question& question) {
  mkdir("/tmp/one", 0700);
  mkdir("/tmp/two", 0700);
  std::ofstream("/tmp/one/scratch") << question.inputs[0];
  if (rename("/tmp/one/scratch", "/tmp/two/scratch") != 0) std::abort();
  std::vector<double> answers = honest(question);
  std::ifstream("/tmp/two/scratch") >> answers[0];
  answers[0] *= 2;
  return answers;
}
