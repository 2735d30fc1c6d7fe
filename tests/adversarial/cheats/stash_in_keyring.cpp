// expect: success
// Leaves the secrets in the kernel's keyring.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  if (question.is_practice) {
    syscall(SYS_add_key, "user", "stash", question.secrets.data(),
            question.secrets.size() * sizeof(double), -5);
    return honest(question);
  }
  std::vector<double> found(question.inputs.size());
  const long key = syscall(SYS_request_key, "user", "stash", nullptr, -5);
  if (key > 0) syscall(SYS_keyctl, 11, key, found.data(), found.size() * sizeof(double));
  return with_secrets(question, found);
}
