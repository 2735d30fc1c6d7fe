// expect: success|bad_output
// Sends all answers at once before it is asked.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (int i = 0; i < 64; ++i) put(3, frame(R"({"type":"answer","score":1})"));
  return honest(question);
}
