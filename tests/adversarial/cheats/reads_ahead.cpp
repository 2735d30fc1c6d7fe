// expect: success
// Looks for later questions on its socket.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  char buffer[65536];
  std::vector<double> found;
  if (recv(3, buffer, sizeof buffer, MSG_PEEK | MSG_DONTWAIT) > 0) found.push_back(1);
  return with_secrets(question, found);
}
