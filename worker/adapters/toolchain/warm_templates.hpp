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

/// What a warm evaluator holds: libraries, or Python with what candidates or judges import.
enum class WarmKind { libtorch, cpp, python, python_torch, python_judge };
inline constexpr std::size_t kWarmKinds = static_cast<std::size_t>(WarmKind::python_judge) + 1;

std::string_view to_string(WarmKind kind);

/// The processes of one warm evaluator: a compiler that has parsed the headers, for C++, and a host
/// that has loaded the libraries.
struct WarmServers {
  bool is_alive() const { return host->is_alive() && (!compiler || compiler->is_alive()); }
  /// Before any fork.
  std::int64_t memory_bytes() const {
    return host->memory_bytes() + (compiler ? compiler->memory_bytes() : 0);
  }
  /// Copied for each candidate, by both forks of it, or for each judge.
  std::int64_t rehearsed_pages() const {
    return host->rehearsed_pages() + (compiler ? compiler->rehearsed_pages() : 0);
  }

  std::optional<CachedFolder> library;
  std::unique_ptr<ForkServer> compiler;
  std::unique_ptr<ForkServer> host;
  std::atomic<int> forks = 0;
  /// Forks in a row that did not even start.
  std::atomic<int> failures = 0;
  /// A fork did not end. It does with the server.
  std::atomic<bool> is_left_behind = false;
};

/// Keeps a warm evaluator of each kind that was asked for: starts it in the background, and
/// again when it is sick or old. What still runs in an old one ends there. Threads: any.
class WarmTemplates {
 public:
  /// `programs` holds cambrian-evaluator and cambrian-candidate-host. `toolchain` must outlive it.
  WarmTemplates(Toolchain& toolchain, std::filesystem::path programs);

  /// The servers of a kind, which this asks for. Null: there are none now, or never will be.
  std::shared_ptr<WarmServers> find(WarmKind kind);
  /// Waits until there are some, at most so long. False: there are none.
  bool wait_ready(WarmKind kind, std::chrono::milliseconds longest, std::stop_token stop);
  /// Memory of those that run, in bytes, before any fork.
  std::int64_t memory_bytes();
  const std::filesystem::path& programs() const { return programs_; }

 private:
  struct Slot {
    WarmKind kind = WarmKind::libtorch;
    std::shared_ptr<WarmServers> servers;  // Shared with what runs in them.
    bool is_hopeless = false;
    bool is_wanted = false;
  };

  Slot& slot_of(WarmKind kind) { return slots_[static_cast<std::size_t>(kind)]; }
  void want(Slot& slot);
  void keep(Slot& slot, std::stop_token stop);
  Result<std::shared_ptr<WarmServers>> start(WarmKind kind, std::stop_token stop);
  Result<std::shared_ptr<WarmServers>> start_cpp(bool libtorch, std::stop_token stop);
  Result<std::unique_ptr<ForkServer>> start_server(const SandboxCommand& command,
                                                   std::stop_token stop);

  Toolchain& toolchain_;
  const std::filesystem::path programs_;
  std::mutex mutex_;  // Guards slots_.
  std::condition_variable_any changed_;
  std::array<Slot, kWarmKinds> slots_;
  std::array<std::jthread, kWarmKinds> keepers_;
};

}  // namespace cambrian::worker
