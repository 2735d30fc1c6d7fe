#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/adapters/sandbox/supervisor.hpp"

/// What the worker and a fork server agree on. Both come from one build, on one machine.
///
/// The server is a process in a sandbox of its own, with a socket that keeps the borders of
/// messages as descriptor 3. It sends ForkServerReady once. A request is one message: arguments,
/// each with a zero byte behind it, and descriptors. Up to "--" they are name=value, in any order,
/// and what follows are the arguments of the program:
///   user_namespace   1: make one, because the server is run by an ordinary user
///   disk             bytes of each tmpfs of the fork
///   folder           folder of the server's root that the archive is unpacked to
///   hidden           folder or file that is shown empty; any number of times
///   core             number of a core that it may use; any number of times, at least once
///   everything that supervisor.hpp names
/// The descriptors are the program's socket, the pipe for its output, the supervisor's control
/// socket, the system call filter, the archive, where there is one the program's output, and the
/// doors of its control group, in this order. What comes back on the control socket is what
/// cambrian-sandbox-init would say.
namespace cambrian::worker {

inline constexpr int kForkServerSocket = 3;

struct ForkServerReady {
  std::int64_t memory_bytes = 0;
  std::int64_t rehearsed_pages = 0;
};

inline constexpr std::size_t kForkRequestBytesMax = 32 << 10;
/// Descriptors of a request, without what it may lack and with it.
inline constexpr std::size_t kForkRequestDescriptors = 5;
inline constexpr std::size_t kForkRequestDescriptorsMax = 6 + kGroupDoorsMax;
/// The program's output in the fork.
inline constexpr int kForkOutput = 5;

}  // namespace cambrian::worker
