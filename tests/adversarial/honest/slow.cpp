// expect: success
// Takes its time, within the limit.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  static bool is_first = true;
  if (is_first) usleep(600'000);
  is_first = false;
  return honest(question);
}
