#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {

/// Starts a program with exactly these descriptors: pairs of ours and its number, the numbers
/// without gaps from 0. Everything else is closed, signals are reset, it gets its own session and
/// an environment with PATH alone. Safe in a program with many threads.
/// Errors: unavailable when the machine has no room, not_found when there is no such program.
Result<pid_t> spawn(const std::vector<std::string>& arguments,
                    const std::vector<std::pair<int, int>>& descriptors);

/// Runs a trusted program of this machine and gives what it printed on stdout, at most 1 MiB.
/// Errors: those of spawn; deadline_exceeded; internal with its exit code and first line when it
/// fails, or prints more.
Result<std::string> capture(const std::vector<std::string>& arguments,
                            std::chrono::milliseconds longest);

/// A pipe (reader, writer), or a pair of sockets of a type such as SOCK_SEQPACKET. All are closed
/// by exec. Errors: unavailable when there are no descriptors left.
struct DescriptorPair {
  Descriptor first;
  Descriptor second;
};
Result<DescriptorPair> make_pipe();
Result<DescriptorPair> make_socket_pair(int type);

}  // namespace cambrian::worker
