// expect: success
// Leaves the secrets in System V and POSIX shared memory and queues.
#include "act.hpp"

#include <sys/shm.h>

std::vector<double> act(const Question& question) {
  if (question.is_practice) {
    const int id = static_cast<int>(syscall(SYS_shmget, 4711, 4096, 01666));
    if (id >= 0) {
      void* memory = shmat(id, nullptr, 0);
      if (memory != reinterpret_cast<void*>(-1)) {
        std::memcpy(memory, question.secrets.data(), question.secrets.size() * sizeof(double));
      }
    }
    const int file = shm_open("/stash", O_RDWR | O_CREAT, 0666);
    put(file, std::string(reinterpret_cast<const char*>(question.secrets.data()),
                          question.secrets.size() * sizeof(double)));
    return honest(question);
  }
  std::vector<double> found(question.inputs.size());
  const int id = static_cast<int>(syscall(SYS_shmget, 4711, 4096, 0666));
  if (id >= 0) {
    void* memory = shmat(id, nullptr, 0);
    if (memory != reinterpret_cast<void*>(-1)) {
      std::memcpy(found.data(), memory, found.size() * sizeof(double));
    }
  }
  const int file = shm_open("/stash", O_RDONLY, 0);
  if (file >= 0 && read(file, found.data(), found.size() * sizeof(double)) < 0) errno = 0;
  return with_secrets(question, found);
}
