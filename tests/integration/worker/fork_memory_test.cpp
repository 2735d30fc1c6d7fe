// What forks copy of the memory of the process that they come from.
#include "worker/adapters/sandbox/fork_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <functional>
#include <memory>
#include <vector>

namespace {

using namespace cambrian::worker;

constexpr std::size_t kPages = 400;

/// Memory of this process that a fork shares, every page of it written to.
class SharedPages {
 public:
  SharedPages() {
    for (std::size_t i = 0; i < kPages; ++i) write(i);
  }
  ~SharedPages() { munmap(bytes_, kPages * size_); }
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;

  // volatile: it must happen where it stands.
  void write(std::size_t page) { const_cast<volatile char*>(bytes_)[page * size_] = 1; }
  void write_every_second() {
    for (std::size_t i = 0; i < kPages; i += 2) write(i);
  }
  std::vector<PageRange> all() const {
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes_);
    return {{begin, begin + kPages * size_}};
  }
  std::size_t count_in(const std::vector<PageRange>& ranges) const {
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes_);
    std::size_t count = 0;
    for (std::size_t i = 0; i < kPages; ++i) {
      for (const PageRange& range : ranges) {
        const std::uintptr_t page = begin + i * size_;
        if (range.begin <= page && page < range.end) ++count;
      }
    }
    return count;
  }

 private:
  std::size_t size_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  char* bytes_ = static_cast<char*>(
      mmap(nullptr, kPages* size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
};

// Of a page that was written to: that it is there, and nobody else's; and copying ahead works.
bool kernel_tells() {
  SharedPages pages;
  const std::vector<PageRange> own = pages.all();
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  std::uint64_t entry = 0;
  const auto size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const bool is_read =
      pread(pagemap, &entry, sizeof entry,
            static_cast<off_t>(own[0].begin / size * sizeof entry)) == sizeof entry;
  close(pagemap);
  return is_read && (entry >> 63 & 1) != 0 && (entry >> 56 & 1) != 0 &&
         madvise(reinterpret_cast<void*>(own[0].begin), size, MADV_POPULATE_WRITE) == 0;
}

// Page faults of a fork that takes copies of `ranges` first, while it does `act`.
long faults_of(const std::vector<PageRange>& ranges, const std::function<void()>& act) {
  int ends[2] = {-1, -1};
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    copy_pages(ranges);
    rusage before{};
    rusage after{};
    getrusage(RUSAGE_SELF, &before);
    act();
    getrusage(RUSAGE_SELF, &after);
    const long faults = after.ru_minflt - before.ru_minflt;
    _exit(write(ends[1], &faults, sizeof faults) == sizeof faults ? 0 : 1);
  }
  close(ends[1]);
  long faults = -1;
  CHECK(read(ends[0], &faults, sizeof faults) == sizeof faults);
  close(ends[0]);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  return faults;
}

TEST_CASE("heap holes: what a fork allocates lies side by side", "[integration]") {
  constexpr std::size_t kBlocks = 20'000;
  constexpr std::size_t kBlockBytes = 200;
  constexpr std::size_t kEvery = 40;  // The holes: each on a page of its own.
  std::vector<std::unique_ptr<char[]>> blocks;
  for (std::size_t i = 0; i < kBlocks; ++i) blocks.push_back(std::make_unique<char[]>(kBlockBytes));
  for (std::size_t i = 0; i < kBlocks; i += kEvery) blocks[i].reset();
  const auto allocate = [&blocks] {
    for (std::size_t i = 0; i < kBlocks; i += kEvery) {
      blocks[i] = std::make_unique<char[]>(kBlockBytes);
    }
  };
  const long scattered = faults_of({}, allocate);
  fill_heap_holes();
  const long side_by_side = faults_of({}, allocate);
  CHECK(scattered > static_cast<long>(kBlocks / kEvery / 2));
  CHECK(side_by_side < scattered / 4);
}

TEST_CASE("rehearsal: a fork has its copies of the pages that it writes to", "[integration]") {
  if (!kernel_tells()) SKIP("this kernel does not tell which pages are written to");
  SharedPages pages;
  const auto act = [&pages] { pages.write_every_second(); };
  const std::vector<PageRange> ranges = pages_written_by(act);
  CHECK(pages.count_in(ranges) == kPages / 2);
  CHECK(count_pages(ranges) >= static_cast<std::int64_t>(kPages / 2));
  CHECK(faults_of({}, act) >= static_cast<long>(kPages / 2));
  CHECK(faults_of(ranges, act) < static_cast<long>(kPages / 20));
}

TEST_CASE("rehearsal: one that fails gives nothing", "[integration]") {
  CHECK(pages_written_by([] { _exit(3); }).empty());
  CHECK(pages_written_by([] { raise(SIGKILL); }).empty());
  CHECK(pages_written_by([] { pause(); }, 1).empty());
}

TEST_CASE("rehearsal: reserved address space costs nothing", "[integration]") {
  if (!kernel_tells()) SKIP("this kernel does not tell which pages are written to");
  constexpr std::size_t kBytes = std::size_t{1} << 40;
  void* reserved = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(reserved != MAP_FAILED);
  SharedPages pages;
  CHECK(pages.count_in(pages_written_by([&pages] { pages.write(0); })) == 1);
  munmap(reserved, kBytes);
}

}  // namespace
