#pragma once

#include <functional>
#include <string>
#include <vector>

namespace cambrian::worker {

/// What a forked program gets, beside its socket and its output.
struct ForkedProgram {
  std::vector<std::string> arguments;
  int output = -1;  ///< Descriptor for what it makes, or -1.
};

struct ServeOptions {
  /// The program starts with the memory of this process, which does not count as its own: for
  /// so many processes of each fork. 0: all memory counts.
  int processes_not_counted = 0;
  /// Forks get no huge pages of their own: theirs are short lives, for which to find and clear one
  /// costs more than it saves. Those that this process has, they share.
  bool without_new_huge_pages = false;
  /// Does what programs will do. Called in a fork once, at the start, to learn which pages of
  /// memory forks write to: each gets its copies of them at once.
  std::function<void()> rehearse = nullptr;
};

/// Serves the worker at kForkServerSocket until it hangs up: forks this process for each request,
/// shuts the fork up in a sandbox of its own (process, mount, network, IPC and host name
/// namespaces, fresh /proc, /tmp and /dev/shm, another user or a user namespace, no capabilities,
/// the system call filter, the supervisor's limits), and only then calls `program`, whose result is
/// the exit code. The program's files are unpacked before, and not
/// looked at.
///
/// This process must have one thread, or it is refused. Returns an exit code.
int serve_forks(const ServeOptions& options,
                const std::function<int(const ForkedProgram&)>& program);

}  // namespace cambrian::worker
