#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "worker/adapters/nvml/nvml_library.hpp"
#include "worker/ports/gpu_watch.hpp"

namespace cambrian::worker {

struct NvmlOptions {
  std::string library = "libnvidia-ml.so.1";
  /// How long killed processes may take to leave a GPU.
  std::chrono::milliseconds patience = std::chrono::seconds(10);
};

/// Watches GPUs by NVIDIA's management library. How they are when it is opened is how they should
/// be: processes and errors that are there already do not count as trouble, except what the driver
/// says needs a reset.
class NvmlWatch final : public GpuWatch {
 public:
  /// Errors: not_found when there is no such library, unavailable when it or a GPU does not answer.
  static Result<std::unique_ptr<NvmlWatch>> open(const std::vector<std::string>& gpus,
                                                 const NvmlOptions& options = {});

  Result<std::int64_t> memory_used(const std::string& gpu) override;
  std::string find_trouble(const std::string& gpu) override;

 private:
  struct Gpu {
    nvml::Device device = nullptr;
    nvml::Device whole = nullptr;       ///< The same where it is not partitioned.
    std::int64_t memory_idle = 0;       ///< In use when nobody uses it.
    std::set<unsigned> processes_idle;  ///< That used it before the worker did.
    unsigned long long ecc_errors = 0;
    unsigned long long xid = 0;  ///< The last error that names the hardware. 0: none.
  };

  NvmlWatch(nvml::Library library, std::chrono::milliseconds patience)
      : library_(std::move(library)), patience_(patience) {}

  Result<Gpu> look_at(const std::string& id);
  Result<std::int64_t> memory_of(const Gpu& gpu) const;
  Result<std::vector<unsigned>> processes_of(const Gpu& gpu) const;
  unsigned long long ecc_errors_of(const Gpu& gpu) const;
  void take_events();
  std::string leftover(Gpu& gpu, const std::string& id);
  std::string hardware_trouble(const Gpu& gpu) const;

  const nvml::Library library_;
  const std::chrono::milliseconds patience_;
  nvml::EventSet events_ = nullptr;
  mutable std::mutex mutex_;  // Guards xid of each GPU, and the reading of events.
  std::map<std::string, Gpu> gpus_;
};

}  // namespace cambrian::worker
