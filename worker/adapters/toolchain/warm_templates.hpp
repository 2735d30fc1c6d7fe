#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "worker/adapters/toolchain/toolchain.hpp"

namespace cambrian::worker {

/// The two processes of one warm evaluator: a compiler that has parsed the headers, and a host that
/// has loaded the libraries.
struct WarmServers {
  explicit WarmServers(CachedFolder warm_library) : library(std::move(warm_library)) {}

  CachedFolder library;
  std::unique_ptr<ForkServer> compiler;
  std::unique_ptr<ForkServer> host;
  std::atomic<int> forks = 0;
  /// Forks in a row that did not even start.
  std::atomic<int> failures = 0;
};

/// Keeps a warm evaluator for each runtime that was asked for: starts it in the background, and
/// again when it is sick or old. What still runs in an old one ends there. Threads: any.
class WarmTemplates {
 public:
  /// `programs` holds cambrian-evaluator and cambrian-candidate-host. `toolchain` must outlive it.
  WarmTemplates(Toolchain& toolchain, std::filesystem::path programs);

  /// The servers for a runtime, which this asks for. Null: there are none now, or never will be.
  std::shared_ptr<WarmServers> find(Runtime runtime);
  /// Waits until there are some, at most so long. False: there are none.
  bool wait_ready(Runtime runtime, std::chrono::milliseconds longest, std::stop_token stop);
  /// Memory of the compilers and hosts, in bytes, before any fork.
  std::int64_t memory_bytes();
  const std::filesystem::path& programs() const { return programs_; }

 private:
  struct Slot {
    Runtime runtime;
    std::shared_ptr<WarmServers> servers;  // Shared with what runs in them.
    bool is_hopeless = false;
    bool is_wanted = false;
  };

  Slot& slot_of(Runtime runtime) { return slots_[runtime == Runtime::libtorch ? 0 : 1]; }
  void want(Slot& slot);
  void keep(Slot& slot, std::stop_token stop);
  Result<std::shared_ptr<WarmServers>> start(Runtime runtime, std::stop_token stop);
  Result<std::unique_ptr<ForkServer>> start_server(const SandboxCommand& command,
                                                   std::stop_token stop);

  Toolchain& toolchain_;
  const std::filesystem::path programs_;
  std::mutex mutex_;  // Guards slots_.
  std::condition_variable_any changed_;
  std::array<Slot, 2> slots_ = {Slot{.runtime = Runtime::libtorch, .servers = {}},
                                Slot{.runtime = Runtime::cpp, .servers = {}}};
  std::array<std::jthread, 2> keepers_;
};

}  // namespace cambrian::worker
