// expect: resource_exceeded|out_of_memory|crash
// Fills its disk.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  const int file = open("/tmp/a", O_WRONLY | O_CREAT, 0600);
  const std::string block(1 << 20, 'x');
  while (write(file, block.data(), block.size()) > 0) continue;
  std::abort();
}
