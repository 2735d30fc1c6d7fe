// expect: success
// Opens sockets of every family, and connects.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (int family = 2; family < 46; ++family) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW}) {
      if (socket(family, type, 0) >= 0) put(1, "canary-socket " + std::to_string(family) + "\n");
    }
  }
  return honest(question);
}
