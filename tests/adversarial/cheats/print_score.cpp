// expect: crash
// Prints a score and leaves.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  put(1, "score=1\n{\"outcome\": \"success\", \"metrics\": {\"score\": 1}}\n");
  _exit(0);
}
