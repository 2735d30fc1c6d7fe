// expect: out_of_memory
// Memory as files, beside its heap.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  take(140 << 20);
  for (const char* path : {"/tmp/a", "/dev/shm/a"}) {
    const int file = open(path, O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 63; ++i) put(file, std::string(1 << 20, 'x'));
  }
  pause();
  return honest(question);
}
