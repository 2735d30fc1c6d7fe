#include "worker/adapters/sandbox/fork_memory.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace cambrian::worker {
namespace {

// Whatever is larger is address space that was reserved, and mostly has no pages.
constexpr std::uintptr_t kRangeBytesMax = std::uintptr_t{16} << 30;

// Sizes of the blocks that fill holes: of large ones some, of small ones each that the C library
// tells from others.
constexpr std::size_t kHoleBytesMax = 16 << 20;
constexpr std::size_t kSmallHoleBytesMax = 2040;
constexpr std::size_t kSmallHoleBytesMin = 24;
constexpr std::size_t kSmallHoleStep = 16;
// The C library keeps some freed blocks at hand and counts them as taken.
constexpr std::size_t kBytesAtHandMax = 512 << 10;

std::uintptr_t page_size() { return static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE)); }

// What a fork would share with this process until one of them writes to it.
std::vector<PageRange> private_memory() {
  std::vector<PageRange> ranges;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, access) != 3) continue;
    const bool is_own = access[1] == 'w' && access[3] == 'p';
    if (is_own && end - begin <= kRangeBytesMax) ranges.push_back({begin, end});
  }
  return ranges;
}

// A page is this process's alone when it was written to since the fork.
void append_own_pages(int pagemap, const PageRange& range, std::vector<PageRange>& own) {
  constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
  constexpr std::uint64_t kExclusive = std::uint64_t{1} << 56;
  const std::uintptr_t page = page_size();
  const std::size_t before = own.size();  // Ranges of two mappings are not joined.
  std::vector<std::uint64_t> entries((range.end - range.begin) / page);
  const ssize_t bytes = pread(pagemap, entries.data(), entries.size() * sizeof entries[0],
                              static_cast<off_t>(range.begin / page * sizeof entries[0]));
  for (std::size_t i = 0; bytes > 0 && i < static_cast<std::size_t>(bytes) / sizeof entries[0];
       ++i) {
    if ((entries[i] & kPresent) == 0 || (entries[i] & kExclusive) == 0) continue;
    const std::uintptr_t begin = range.begin + i * page;
    if (own.size() == before || own.back().end != begin) own.push_back({begin, begin});
    own.back().end += page;
  }
}

bool write_all(int descriptor, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = write(descriptor, data, size);
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) {
      data += written;
      size -= static_cast<std::size_t>(written);
    }
  }
  return true;
}

[[noreturn]] void rehearse(int output, unsigned seconds_max, const std::function<void()>& act) {
  alarm(seconds_max);
  const std::vector<PageRange> before = private_memory();
  act();
  std::vector<PageRange> own;
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) _exit(1);
  for (const PageRange& range : before) append_own_pages(pagemap, range, own);
  const bool is_told =
      write_all(output, reinterpret_cast<const char*>(own.data()), own.size() * sizeof own[0]);
  _exit(is_told ? 0 : 1);
}

}  // namespace

void fill_heap_holes() {
  const struct mallinfo2 heap = mallinfo2();
  // From here on upwards the heap is one free piece.
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(sbrk(0)) - heap.keepcost;
  std::size_t left = heap.fordblks - heap.keepcost + kBytesAtHandMax;
  const auto fill = [&](std::size_t size) {
    while (size <= left) {
      void* block = std::malloc(size);
      const bool is_in_hole = block != nullptr && reinterpret_cast<std::uintptr_t>(block) < end;
      if (!is_in_hole) {
        std::free(block);
        return;
      }
      left -= size;
    }
  };
  for (std::size_t size = kHoleBytesMax; size > kSmallHoleBytesMax; size -= size / 8) fill(size);
  for (std::size_t size = kSmallHoleBytesMax; size >= kSmallHoleBytesMin; size -= kSmallHoleStep) {
    fill(size);
  }
}

std::vector<PageRange> pages_written_by(const std::function<void()>& act, unsigned seconds_max) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  const pid_t child = fork();
  if (child == 0) rehearse(ends[1], seconds_max, act);
  close(ends[1]);
  std::string told;
  char buffer[64 << 10];
  for (;;) {
    const ssize_t count = child < 0 ? 0 : read(ends[0], buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    told.append(buffer, static_cast<std::size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (child < 0 || status != 0) {
    std::fprintf(stderr, "the rehearsal of a fork failed: status=%d\n", status);
    return {};
  }
  std::vector<PageRange> ranges(told.size() / sizeof(PageRange));
  told.copy(reinterpret_cast<char*>(ranges.data()), ranges.size() * sizeof ranges[0]);
  return ranges;
}

std::int64_t count_pages(const std::vector<PageRange>& ranges) {
  std::uintptr_t bytes = 0;
  for (const PageRange& range : ranges) bytes += range.end - range.begin;
  return static_cast<std::int64_t>(bytes / page_size());
}

void copy_pages(const std::vector<PageRange>& ranges) {
  for (const PageRange& range : ranges) {
    // Where the kernel refuses, each is copied when it is written to.
    madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, MADV_POPULATE_WRITE);
  }
}

}  // namespace cambrian::worker
