// expect: resource_exceeded
// Forks without end.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (;;) fork();
}
