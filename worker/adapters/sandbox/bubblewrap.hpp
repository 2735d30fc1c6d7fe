#pragma once

#include <array>
#include <memory>
#include <string>

#include "worker/adapters/sandbox/bubblewrap_arguments.hpp"
#include "worker/ports/gpu_watch.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// Sandboxes by bubblewrap: empty root with a read-only /usr, own namespaces, no network, a system
/// call filter, resource limits and a supervisor as first process.
///
/// Run by root, each sandbox gets a user id of its own that nobody else has; run by an ordinary
/// user, a user namespace. Either way RLIMIT_NPROC counts this sandbox alone. Where there are
/// control groups, each sandbox gets one.
class BubblewrapSandbox final : public Sandbox {
 public:
  /// Errors: internal when a filter cannot be made. It starts nothing: `probe_sandbox` does.
  static Result<std::unique_ptr<BubblewrapSandbox>> make(SandboxHost host);

  SandboxLevel level() const override {
    return host_.groups ? SandboxLevel::strict : SandboxLevel::standard;
  }
  std::shared_ptr<const std::vector<int>> lease_cores(int count) override;
  Result<std::unique_ptr<SandboxedProcess>> start(const SandboxCommand& command) override;
  Result<std::unique_ptr<ForkServer>> start_fork_server(const SandboxCommand& command) override;

  /// Not owned: it must outlive the sandbox. Call it before the first start.
  void set_gpu_watch(GpuWatch* watch) { gpu_watch_ = watch; }

 private:
  explicit BubblewrapSandbox(SandboxHost host) : host_(std::move(host)) {}

  const std::string& filter(const SandboxCommand& command) const;

  SandboxHost host_;
  GpuWatch* gpu_watch_ = nullptr;
  // By profile, without and with a GPU.
  std::array<std::array<std::string, 2>, 3> filters_;
};

}  // namespace cambrian::worker
