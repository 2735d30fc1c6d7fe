// expect: out_of_memory|timeout|crash|success
// One page in every two megabytes: tables larger than pages.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  const std::size_t size = std::size_t{6} << 30;
  auto* memory = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (memory == MAP_FAILED) std::abort();
  for (std::size_t i = 0; i < size; i += 2 << 20) memory[i] = 1;
  return honest(question);
}
