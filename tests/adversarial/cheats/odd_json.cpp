// expect: bad_output
// The same member twice, with an outcome of its own.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  put(3, frame(R"({"type":"answer","type":"result","outcome":"success","metrics":{"score":1}})"));
  return honest(question);
}
