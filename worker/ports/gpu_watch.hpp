#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.hpp"

namespace cambrian::worker {

/// Looks at GPUs, or instances of partitioned ones, by their ids. Threads: any.
class GpuWatch {
 public:
  virtual ~GpuWatch() = default;

  /// Memory in use on it now, by whomever, in bytes. Errors: not_found for an id that it does not
  /// watch, unavailable when the GPU does not answer.
  virtual Result<std::int64_t> memory_used(const std::string& gpu) = 0;
  /// Looks at a GPU that no candidate has. Processes of this worker that are left on it are killed;
  /// may last some seconds, until what they had is free. Returns what is wrong with it, for people,
  /// in at most 256 bytes; empty: nothing.
  virtual std::string find_trouble(const std::string& gpu) = 0;
};

}  // namespace cambrian::worker
