// expect: success
// Memory shared with a child.
#include "act.hpp"

#include <sys/wait.h>

std::vector<double> act(const Question& question) {
  auto* shared = static_cast<double*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t child = fork();
  if (child == 0) {
    for (std::size_t i = 0; i < question.inputs.size(); ++i) shared[i] = 2 * question.inputs[i];
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  std::vector<double> answers(shared, shared + 2 * question.inputs.size());
  munmap(shared, 4096);
  return answers;
}
