// expect: timeout|resource_exceeded|crash
// Executes itself again and again.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  char* arguments[] = {const_cast<char*>("/program/program"), nullptr};
  for (;;) execv(arguments[0], arguments);
}
