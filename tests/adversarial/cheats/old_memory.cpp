// expect: success
// Looks for the secrets in fresh memory that somebody else may have used.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  const std::size_t size = 16 << 20;
  auto* memory = static_cast<double*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  auto* heap = static_cast<double*>(std::malloc(size));
  std::vector<double> found;
  for (std::size_t i = 0; i < size / sizeof(double) && found.size() < 8; ++i) {
    if (memory[i] > 0) found.push_back(memory[i]);
    if (heap[i] > 1 && heap[i] < (1 << 30)) found.push_back(heap[i]);
  }
  std::free(heap);
  munmap(memory, size);
  return with_secrets(question, found);
}
