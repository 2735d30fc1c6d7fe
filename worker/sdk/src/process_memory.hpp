#pragma once

#include <malloc.h>

#include <limits>

namespace cambrian {

/// Keeps freed memory in this process. What trains, and what feeds it, frees and takes tensors of
/// some megabytes at each step: memory that goes back to the kernel each time comes back by page
/// faults, which can take a third of the time.
inline void keep_freed_memory() {
  constexpr int kBlockBytesMax = 32 << 20;  // The most that the C library takes.
  mallopt(M_MMAP_THRESHOLD, kBlockBytesMax);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

}  // namespace cambrian
