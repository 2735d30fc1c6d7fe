// expect: success
// Prints its environment.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (char** entry = environ; *entry != nullptr; ++entry) put(1, std::string(*entry) + "\n");
  return honest(question);
}
