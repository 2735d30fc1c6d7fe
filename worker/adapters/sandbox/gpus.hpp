#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace cambrian::worker {

struct GpuDevice {
  std::string id;  ///< Index, as CUDA_VISIBLE_DEVICES takes it.
  std::string name;
  std::int64_t memory_bytes = 0;
};

/// The GPUs of this machine by nvidia-smi, as far as `selection` wants them: empty or "all",
/// "none", or ids separated by commas. None where there is no nvidia-smi. Errors: invalid_argument
/// for an id that does not exist; unavailable when the driver does not answer within 20 s.
Result<std::vector<GpuDevice>> find_gpus(const std::string& selection);

/// What find_gpus reads: lines of `index, name, memory in MiB`.
std::vector<GpuDevice> parse_gpus(const std::string& text);

}  // namespace cambrian::worker
