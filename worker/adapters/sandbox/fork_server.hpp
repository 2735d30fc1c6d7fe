#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "worker/adapters/sandbox/bubblewrap_arguments.hpp"
#include "worker/ports/descriptor.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// A fork server in a sandbox of bubblewrap. A thread of its own starts it, keeps its output and
/// waits for its end.
class BubblewrapForkServer final : public ForkServer {
 public:
  using FilterOf = std::function<std::string(const SandboxCommand&)>;

  /// `filter_of` gives the system call filter of a fork.
  static Result<std::unique_ptr<ForkServer>> start(const SandboxHost& host,
                                                   const SandboxCommand& command,
                                                   FilterOf filter_of);
  ~BubblewrapForkServer() override;

  bool wait_ready(std::chrono::milliseconds longest) override;
  bool is_alive() const override { return !has_ended_; }
  std::int64_t memory_bytes() const override { return memory_bytes_; }
  std::int64_t rehearsed_pages() const override { return rehearsed_pages_; }
  std::string log() const override;
  Result<std::unique_ptr<SandboxedProcess>> fork(const SandboxCommand& command,
                                                 const ForkFiles& files) override;

 private:
  BubblewrapForkServer(const SandboxHost& host, FilterOf filter_of)
      : host_(host), filter_of_(std::move(filter_of)) {}
  void watch(pid_t process);

  const SandboxHost host_;
  const FilterOf filter_of_;
  Descriptor log_pipe_;
  Descriptor channel_;
  Descriptor stop_event_;
  std::atomic<bool> has_ended_ = false;
  std::atomic<bool> is_ready_ = false;
  std::atomic<std::int64_t> memory_bytes_ = 0;
  std::atomic<std::int64_t> rehearsed_pages_ = 0;
  mutable std::mutex mutex_;  // Guards log_.
  std::condition_variable changed_;
  CappedLog log_{16 << 10};
  std::thread thread_;
};

/// The command line of a fork server: that of a sandbox without the system call filter and the
/// supervisor, but with the right to make namespaces and mounts.
std::vector<std::string> fork_server_arguments(const SandboxHost& host,
                                               const SandboxCommand& command);

}  // namespace cambrian::worker
