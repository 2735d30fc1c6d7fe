// expect: resource_exceeded|crash
// Starts threads without end.
#include "act.hpp"

#include <thread>

std::vector<double> act(const Question& question) {
  for (;;) std::thread([] { pause(); }).detach();
}
