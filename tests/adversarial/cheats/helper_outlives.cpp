// expect: success|bad_output
// A forked helper stays and talks to the judge when its turn is over.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  if (question.is_practice && fork() == 0) {
    setsid();
    for (int signal = 1; signal < 32; ++signal) std::signal(signal, SIG_IGN);
    for (int i = 0; i < 2000; ++i) {
      usleep(1000);
      if (i > 400) put(3, winning_frame());
    }
    _exit(0);
  }
  return honest(question);
}
