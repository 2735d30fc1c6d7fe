// expect: out_of_memory
// Memory that no limit of a process counts.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  const std::size_t size = std::size_t{1} << 30;
  auto* memory = static_cast<char*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (std::size_t i = 0; i < size; i += 4096) memory[i] = 1;
  pause();
  return honest(question);
}
