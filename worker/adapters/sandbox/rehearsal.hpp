#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace cambrian::worker {

/// Addresses of whole pages: [begin, end).
struct PageRange {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

/// Runs `act` in a fork, at most a minute, and tells to which pages of this process's own memory it
/// wrote. None where the fork failed or the kernel does not tell. This process must have one
/// thread, and wait for its children by itself.
std::vector<PageRange> pages_written_by(const std::function<void()>& act);

/// For a process just forked: takes a copy of these pages, all at once. That costs half of what it
/// does to write to them one by one. Pages that do not exist are left out.
void copy_pages(const std::vector<PageRange>& ranges);

}  // namespace cambrian::worker
