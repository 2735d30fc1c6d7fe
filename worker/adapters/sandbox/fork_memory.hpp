#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace cambrian::worker {

/// Takes what is free between the blocks of this process's heap, for good, so that what a fork
/// allocates lies side by side behind them. Otherwise each small block of a fork would be another
/// page of this process to copy. This process must have one thread.
void fill_heap_holes();

/// Addresses of whole pages: [begin, end).
struct PageRange {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

/// Runs `act` in a fork, at most so many seconds, and tells to which pages of this process's own
/// memory it wrote. None where that failed, which is printed. This process must have one thread,
/// and must not ignore SIGCHLD.
std::vector<PageRange> pages_written_by(const std::function<void()>& act,
                                        unsigned seconds_max = 60);
std::int64_t count_pages(const std::vector<PageRange>& ranges);

/// For a process just forked: takes a copy of these pages, all at once. That costs half of what it
/// does to write to them one by one. What lies behind a page that does not exist is left out, to
/// the end of its range.
void copy_pages(const std::vector<PageRange>& ranges);

}  // namespace cambrian::worker
