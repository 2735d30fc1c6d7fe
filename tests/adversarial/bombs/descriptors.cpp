// expect: crash|timeout|success|resource_exceeded
// Opens pipes and sockets until there are none, and fills them.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  const std::string block(1 << 16, 'x');
  int ends[2];
  while (pipe2(ends, O_NONBLOCK) == 0) put(ends[1], block);
  while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0) put(ends[1], block);
  return honest(question);
}
