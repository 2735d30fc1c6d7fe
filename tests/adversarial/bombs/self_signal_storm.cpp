// expect: crash|timeout|success
// Sends itself signals without end.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  std::signal(SIGALRM, [](int) { raise(SIGALRM); });
  raise(SIGALRM);
  return honest(question);
}
