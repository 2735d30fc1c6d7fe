// expect: bad_output
// Sends progress and a trained state where an answer is due.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (int i = 0; i < 1000; ++i) put(3, frame(R"({"type":"progress","step":1,"score":1})"));
  put(3, frame(R"({"type":"trained","steps":1})"));
  return honest(question);
}
