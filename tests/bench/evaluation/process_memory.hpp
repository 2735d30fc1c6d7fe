#pragma once

#include <cstdint>

namespace cambrian::bench {

/// Proportional set size, in bytes, of warm evaluators below this process and of what they forked:
/// pages that several share count once in all.
std::int64_t warm_memory_bytes();

}  // namespace cambrian::bench
