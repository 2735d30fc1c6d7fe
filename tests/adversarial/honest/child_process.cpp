// expect: success
// A child that computes and answers through a pipe.
#include "act.hpp"

#include <sys/wait.h>

#include <algorithm>

std::vector<double> act(const Question& question) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  std::vector<double> answers = honest(question);
  const std::size_t size = answers.size() * sizeof(double);
  if (child == 0) {
    put(ends[1], std::string(reinterpret_cast<const char*>(answers.data()), size));
    _exit(0);
  }
  std::fill(answers.begin(), answers.end(), 0.0);
  if (read(ends[0], answers.data(), size) < 0) std::abort();
  waitpid(child, nullptr, 0);
  close(ends[0]);
  close(ends[1]);
  return answers;
}
