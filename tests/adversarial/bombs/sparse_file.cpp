// expect: resource_exceeded|crash
// A file of an exabyte with nothing in it.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  const int file = open("/tmp/a", O_WRONLY | O_CREAT, 0600);
  if (ftruncate(file, 1L << 60) != 0) std::abort();
  pwrite(file, "x", 1, 1L << 50);
  std::abort();
}
