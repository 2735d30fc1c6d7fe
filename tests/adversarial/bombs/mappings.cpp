// expect: out_of_memory|timeout|crash|success
// As many mappings as the kernel gives.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (int i = 0; i < 200'000; ++i) {
    mmap(nullptr, 4096, i % 2 == 0 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  return honest(question);
}
