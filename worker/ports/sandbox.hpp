#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "worker/evaluation/text.hpp"
#include "worker/evaluation/types.hpp"

namespace cambrian::worker {

/// One file or folder of this machine that a sandbox can see.
struct Mount {
  std::filesystem::path source;
  std::string target;  ///< Absolute, inside the sandbox.
  bool is_writable = false;
};

/// Which system calls are left: to a candidate all but those that are refused, because GPU drivers
/// take any, to a compile and a judge those on a list. The judge may make memory files, which a
/// candidate only receives; a compile may make links and name pipes.
enum class SandboxProfile { compile, candidate, judge };

struct SandboxCommand {
  SandboxProfile profile = SandboxProfile::candidate;
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_folder = "/tmp";
  std::vector<Mount> mounts;
  /// Folders below /usr that are shown empty, and files there that cannot be opened.
  std::vector<std::filesystem::path> hidden;
  std::chrono::milliseconds wall_time = std::chrono::seconds(300);
  std::chrono::seconds cpu_time = std::chrono::seconds(300);
  std::int64_t memory_bytes = std::int64_t{4} << 30;
  /// Size of each writable tmpfs, and of any one file.
  std::int64_t disk_bytes = std::int64_t{256} << 20;
  std::int64_t log_bytes = 64 << 10;
  int processes = 64;
  /// Processor time for all its processes together, in cores; 0: as much as there is.
  int cores = 0;
  /// Cores of this machine that they run on (Sandbox::lease_cores); empty: all of the worker's.
  std::vector<int> confined_to;
  /// Descriptor that the program gets as CAMBRIAN_FD, or -1. It stays the caller's.
  int socket = -1;
  std::vector<std::string> gpus;
  std::int64_t gpu_memory_bytes = 0;  ///< On each GPU; 0: all that it has.
};

/// Output of a sandboxed process in all, after which it is killed.
inline constexpr std::uint64_t kOutputBytesMax = 64 << 20;

/// A process tree in its own sandbox. Destroying it kills the tree and waits.
/// Threads: all methods may be called from any thread.
class SandboxedProcess {
 public:
  virtual ~SandboxedProcess() = default;

  /// Asks for the end of the whole tree; `wait` says when it is gone.
  virtual void stop() = 0;
  /// Waits for the end of the tree, at most so long. Nothing when it is still running.
  virtual std::optional<ProcessExit> wait(std::chrono::milliseconds longest) = 0;
  /// Head and tail of what it printed so far, at most `log_bytes`.
  virtual std::string log() const = 0;
};

/// What a fork gets beside its command.
struct ForkFiles {
  /// An archive (worker/evaluator/source_archive.hpp), and the folder of the fork that it is
  /// unpacked to, which is read-only then. It stays the caller's.
  int archive = -1;
  std::string folder;
  /// Descriptor 5 of the fork, or -1. It stays the caller's.
  int output = -1;
};

/// A process that others are forked from, each into a sandbox of its own. Destroying it ends it and
/// all of them. Threads: all methods may be called from any thread.
class ForkServer {
 public:
  virtual ~ForkServer() = default;

  /// Waits until it takes requests, at most so long: false when it ended, or is not ready yet.
  virtual bool wait_ready(std::chrono::milliseconds longest) = 0;
  virtual bool is_alive() const = 0;
  /// Memory of its own when it became ready, which forks share until they write to it. 0 before.
  virtual std::int64_t memory_bytes() const = 0;
  /// Pages that each fork copies before it begins: those that a rehearsal wrote to. 0: none.
  virtual std::int64_t rehearsed_pages() const = 0;
  /// What it printed so far: head and tail.
  virtual std::string log() const = 0;
  /// Forks it into a sandbox, and waits until the fork runs. Of the command, `arguments` are what
  /// the server's program gets, mounts and environment are the server's own, and GPUs are not
  /// offered. Errors: unavailable when the server is gone, or when its fork does not run.
  virtual Result<std::unique_ptr<SandboxedProcess>> fork(const SandboxCommand& command,
                                                         const ForkFiles& files) = 0;
};

/// Starts processes that see nothing of this machine but what their command names.
class Sandbox {
 public:
  virtual ~Sandbox() = default;

  /// What it enforces.
  virtual SandboxLevel level() const = 0;
  /// Cores for an evaluation of so many threads; the lease ends with the last copy of the pointer.
  /// As long as there
  /// are enough, nobody else on this machine has them, whichever process took them: two evaluations
  /// do not slow each other down, and none gets more than it was promised, however many threads it
  /// starts. Empty where there are no more cores than that. Any thread; does not block.
  virtual std::shared_ptr<const std::vector<int>> lease_cores(int count) = 0;
  /// Starts a process. Blocks for some milliseconds; any thread. Errors: unavailable when the
  /// machine has no room for another process, internal when the sandbox is broken.
  virtual Result<std::unique_ptr<SandboxedProcess>> start(const SandboxCommand& command) = 0;
  /// Starts a program of ours that calls serve_forks, in a sandbox without limits that is allowed
  /// to make others. No untrusted code may run in it. /src, /program and /task exist in it as
  /// folders. Errors: as above.
  virtual Result<std::unique_ptr<ForkServer>> start_fork_server(const SandboxCommand& command) = 0;
};

/// Starts a process, waits for its end, and kills it when `stop` is asked for.
/// Errors: those of `start`; cancelled.
Result<std::pair<ProcessExit, std::string>> run_to_end(Sandbox& sandbox,
                                                       const SandboxCommand& command,
                                                       std::stop_token stop);

}  // namespace cambrian::worker
