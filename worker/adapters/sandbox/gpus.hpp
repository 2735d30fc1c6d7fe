#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace cambrian::worker {

/// A GPU, or an instance of one that is partitioned (MIG): what one candidate gets at a time.
struct GpuDevice {
  /// UUID, for CUDA_VISIBLE_DEVICES: the same in a process that sees one device file only, where
  /// indices would begin at 0 again.
  std::string id;
  std::string gpu;    ///< UUID of the whole GPU; equals `id` where it is not partitioned.
  std::string index;  ///< Of the whole GPU, as nvidia-smi counts.
  std::string name;
  std::int64_t memory_bytes = 0;  ///< 0: unknown.
  std::string device_file;        ///< /dev/nvidiaN of the whole GPU.
};

/// What is asked for the GPUs of this machine. Tests name others.
struct GpuSources {
  std::string tool = "/usr/bin/nvidia-smi";
  std::filesystem::path driver = "/proc/driver/nvidia";
  /// CUDA_VISIBLE_DEVICES of the worker; nothing where it is not set.
  std::optional<std::string> visible;

  static GpuSources of_this_machine();
};

/// The GPUs that this worker may use, as far as `selection` wants them: empty or "all", "none", or
/// indices and UUIDs (or their unambiguous beginnings) separated by commas. CUDA_VISIBLE_DEVICES
/// bounds them, whatever `selection` says: a batch system sets it to keep jobs apart. None where
/// there is no driver. A GPU in MIG mode counts as its instances. Errors: invalid_argument for an
/// id that does not exist or is not visible; those of nvidia-smi with what mends it: unavailable,
/// not_found, deadline_exceeded after 20 s, internal.
Result<std::vector<GpuDevice>> find_gpus(const std::string& selection,
                                         const GpuSources& sources = GpuSources::of_this_machine());

/// What find_gpus makes of `nvidia-smi --query-gpu=index,uuid,mig.mode.current,memory.total,name`
/// and of `nvidia-smi -L`, which alone tells the instances. Without device files.
std::vector<GpuDevice> parse_gpus(const std::string& query, const std::string& list);

/// Those that CUDA_VISIBLE_DEVICES shows: as CUDA does, up to the first entry that names none.
std::vector<GpuDevice> visible_gpus(const std::vector<GpuDevice>& found,
                                    const std::string& variable);

}  // namespace cambrian::worker
