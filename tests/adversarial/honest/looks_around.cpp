// expect: success
// What numeric libraries look at: processor, memory, threads.
#include "act.hpp"

#include <fstream>
#include <thread>

std::vector<double> act(const Question& question) {
  std::ifstream cpu("/proc/cpuinfo"), memory("/proc/meminfo");
  std::string line;
  if (!std::getline(cpu, line) || !std::getline(memory, line)) std::abort();
  if (std::thread::hardware_concurrency() == 0 || sysconf(_SC_NPROCESSORS_ONLN) < 1) std::abort();
  char self[256];
  if (readlink("/proc/self/exe", self, sizeof self) < 0) std::abort();
  return honest(question);
}
