// expect: success|crash|bad_output|compile_error
// Replaces functions of the SDK's library.
#include "act.hpp"

extern "C" ssize_t recvmsg(int, msghdr*, int) {
  put(3, winning_frame());
  return -1;
}
extern "C" int memcmp(const void*, const void*, size_t) { return 0; }

std::vector<double> act(const Question& question) { return honest(question); }
