// expect: success
// Leaves the secrets in whatever memory it was started with, for the next process that is started
// the same way: behind the data of all its libraries, and in their files' pages.
#include "act.hpp"

#include <link.h>

namespace {

constexpr std::uint64_t kMark = 0x6361726d61726b21;
constexpr std::size_t kWords = 16;
constexpr std::uintptr_t kPage = 4096;

struct Range {
  std::uint64_t* begin = nullptr;
  std::uint64_t* end = nullptr;
};

// The writable parts of all loaded files, to the ends of their last pages. /proc/self/maps, which
// names more, cannot be read here.
std::vector<Range> writable_ranges() {
  std::vector<Range> ranges;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* list) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& part = info->dlpi_phdr[i];
          if (part.p_type != PT_LOAD || (part.p_flags & PF_W) == 0) continue;
          const std::uintptr_t begin = (info->dlpi_addr + part.p_vaddr) & ~(kPage - 1);
          const std::uintptr_t end = info->dlpi_addr + part.p_vaddr + part.p_memsz;
          static_cast<std::vector<Range>*>(list)->push_back(
              {reinterpret_cast<std::uint64_t*>(begin),
               reinterpret_cast<std::uint64_t*>((end + kPage - 1) & ~(kPage - 1))});
        }
        return 0;
      },
      &ranges);
  return ranges;
}

bool is_mapped(const std::uint64_t* at) {
  unsigned char is_there = 0;
  const auto page = reinterpret_cast<std::uintptr_t>(at) & ~(kPage - 1);
  return mincore(reinterpret_cast<void*>(page), kPage, &is_there) == 0;
}

// Behind what a library uses of its last page there are zeroes, which nobody misses.
void leave(const Range& range, const std::uint64_t* stash) {
  std::uint64_t* at = range.end - kWords;
  if (!is_mapped(at)) return;
  for (std::size_t i = 0; i < kWords; ++i) {
    if (at[i] != 0) return;
  }
  // By the kernel, which finds out whether the page can be written.
  int ends[2] = {-1, -1};
  if (pipe(ends) != 0 || write(ends[1], stash, kWords * sizeof *stash) < 0 ||
      read(ends[0], at, kWords * sizeof *stash) < 0) {
    return;
  }
  msync(reinterpret_cast<char*>(range.end) - kPage, kPage, MS_SYNC | MS_INVALIDATE);
}

}  // namespace

std::vector<double> act(const Question& question) {
  std::uint64_t stash[kWords] = {kMark};
  const std::vector<Range> ranges = writable_ranges();
  if (ranges.empty()) put(1, "canary-nothing-tried\n");
  if (question.is_practice) {
    for (std::size_t i = 0; i < question.secrets.size(); ++i) {
      stash[i + 1] = static_cast<std::uint64_t>(question.secrets[i]);
    }
    for (const Range& range : ranges) leave(range, stash);
    return honest(question);
  }
  for (const Range& range : ranges) {
    const std::uint64_t* at = range.end - kWords;
    if (!is_mapped(at) || *at != kMark) continue;
    return with_secrets(question, std::vector<double>(at + 1, at + 9));
  }
  return honest(question);
}
