// expect: success
// Leaves the secrets in a pseudo terminal, and looks for terminals that are older than its sandbox:
// whoever shares them can be told something.
#include "act.hpp"

namespace {

std::string terminal(int number) { return "/dev/pts/" + std::to_string(number); }

double changed(const char* path) {
  struct stat info{};
  if (stat(path, &info) != 0) return 0;
  return static_cast<double>(info.st_ctim.tv_sec) +
         1e-9 * static_cast<double>(info.st_ctim.tv_nsec);
}

void keep_in_terminal(const std::vector<double>& secrets) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || unlockpt(master) != 0 || fork() != 0) return;
  setsid();
  const char* name = ptsname(master);
  if (name != nullptr) chmod(name, 0666);
  put(master,
      std::string(reinterpret_cast<const char*>(secrets.data()), secrets.size() * sizeof(double)));
  pause();
}

}  // namespace

std::vector<double> act(const Question& question) {
  if (question.is_practice) {
    keep_in_terminal(question.secrets);
    return honest(question);
  }
  // Both are made with the sandbox.
  if (changed("/dev/pts/ptmx") + 1 < changed("/dev/shm")) put(1, "canary-terminals\n");
  std::vector<double> found(question.inputs.size());
  for (int i = 0; i < 32; ++i) {
    const int file = open(terminal(i).c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (file < 0) continue;
    if (read(file, found.data(), found.size() * sizeof(double)) < 0) errno = 0;
    close(file);
  }
  return with_secrets(question, found);
}
