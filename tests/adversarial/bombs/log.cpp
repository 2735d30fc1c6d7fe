// expect: resource_exceeded
// Prints without end.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  const std::string block(1 << 16, 'x');
  for (;;) put(1, block);
}
