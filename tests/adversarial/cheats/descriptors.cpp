// expect: success|bad_output
// Hands the judge hundreds of descriptors with its answer.
#include "act.hpp"

#include <sys/uio.h>

std::vector<double> act(const Question& question) {
  const std::string bytes = frame(R"({"type":"answer"})");
  for (int round = 0; round < 200; ++round) {
    iovec part{const_cast<char*>(bytes.data()), 4};
    char control[CMSG_SPACE(64 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(64 * sizeof(int));
    std::vector<int> descriptors(64, 1);
    std::memcpy(CMSG_DATA(header), descriptors.data(), 64 * sizeof(int));
    if (sendmsg(3, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) break;
  }
  return honest(question);
}
