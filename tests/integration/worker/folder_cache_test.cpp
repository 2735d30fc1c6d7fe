#include "worker/adapters/toolchain/folder_cache.hpp"

#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "support.hpp"
#include "worker/adapters/toolchain/source_folder.hpp"

namespace {

namespace fs = std::filesystem;
using namespace cambrian::worker;
using cambrian::Errc;
using test::test_folder;

constexpr std::int64_t kMebibyte = 1 << 20;

fs::path fresh_root() {
  static int number = 0;
  return test_folder() / ("cache-" + std::to_string(++number));
}

// A folder with one file of a mebibyte, in the cache.
CachedFolder insert(FolderCache& cache, const std::string& key) {
  auto scratch = cache.make_scratch();
  REQUIRE(scratch);
  const std::string content(kMebibyte, 'x');
  REQUIRE(write_files(scratch->path() / "made", {{"file", &content, false}}));
  auto inserted = cache.insert(key, scratch->path() / "made");
  REQUIRE(inserted);
  return std::move(*inserted);
}

}  // namespace

TEST_CASE("FolderCache: what was inserted is found, also by another process", "[integration]") {
  const fs::path root = fresh_root();
  auto one = FolderCache::open(root, 10 * kMebibyte);
  auto two = FolderCache::open(root, 10 * kMebibyte);
  REQUIRE((one && two));
  CHECK_FALSE((*two)->find("a"));
  const CachedFolder inserted = insert(**one, "a");
  const auto found = (*two)->find("a");
  REQUIRE(found);
  CHECK(fs::file_size(found->path() / "file") == kMebibyte);
}

TEST_CASE("FolderCache: the first of two equal folders counts", "[integration]") {
  auto cache = FolderCache::open(fresh_root(), 10 * kMebibyte);
  REQUIRE(cache);
  const CachedFolder first = insert(**cache, "a");
  const CachedFolder second = insert(**cache, "a");
  CHECK(first.path() == second.path());
}

TEST_CASE("FolderCache: drops the least recently used, but nothing in use", "[integration]") {
  auto cache = FolderCache::open(fresh_root(), 4 * kMebibyte);
  REQUIRE(cache);
  const CachedFolder used = insert(**cache, "used");
  // Room is made when the cache has grown by a sixteenth of its bytes.
  for (int i = 0; i < 40; ++i) insert(**cache, "entry-" + std::to_string(i));
  CHECK((*cache)->find("used"));
  CHECK_FALSE((*cache)->find("entry-0"));
  CHECK((*cache)->find("entry-39"));
}

TEST_CASE("FolderCache: a few large folders make room, too", "[integration]") {
  const fs::path root = fresh_root();
  auto cache = FolderCache::open(root, 4 * kMebibyte);
  REQUIRE(cache);
  for (int i = 0; i < 12; ++i) insert(**cache, "entry-" + std::to_string(i));
  // Room is made before the last one comes in.
  const auto left = std::distance(fs::directory_iterator(root / "entries"), {});
  CHECK(left <= 5);
}

TEST_CASE("FolderCache: stays within its bytes while many insert at once", "[integration]") {
  const fs::path root = fresh_root();
  auto cache = FolderCache::open(root, 4 * kMebibyte);
  REQUIRE(cache);
  constexpr int kThreads = 8;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        for (int k = 0; k < 20; ++k) {
          auto scratch = (*cache)->make_scratch();
          const std::string content(kMebibyte, 'x');
          if (!scratch || !write_files(scratch->path() / "made", {{"file", &content, false}}))
            return;
          const auto inserted = (*cache)->insert(std::to_string(i) + "-" + std::to_string(k),
                                                 scratch->path() / "made");
        }
      });
    }
  }
  insert(**cache, "last");
  // One for each that was inserted while somebody else cleaned, and the last.
  CHECK(std::distance(fs::directory_iterator(root / "entries"), {}) <= 4 + kThreads + 1);
  CHECK((*cache)->find("last"));
}

TEST_CASE("FolderCache: processes that start at once leave each other's scratch alone",
          "[integration]") {
  const fs::path root = fresh_root();
  std::atomic<int> failures = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) {
        const auto cache = FolderCache::open(root, kMebibyte);
        if (!cache || !(*cache)->make_scratch()) ++failures;
      }
    });
  }
  threads.clear();
  CHECK(failures == 0);
}

TEST_CASE("FolderCache: a lock keeps others out until it goes, and can be given up",
          "[integration]") {
  auto cache = FolderCache::open(fresh_root(), kMebibyte);
  REQUIRE(cache);
  {
    const auto held = (*cache)->lock("a", {});
    REQUIRE(held);
    std::stop_source stop;
    stop.request_stop();
    const auto refused = (*cache)->lock("a", stop.get_token());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::cancelled);
    CHECK((*cache)->lock("b", {}));
  }
  CHECK((*cache)->lock("a", {}));
}

TEST_CASE("FolderCache: scratch of a dead process goes, of a living one stays", "[integration]") {
  const fs::path root = fresh_root();
  auto living = FolderCache::open(root, kMebibyte);
  REQUIRE(living);
  fs::create_directories(root / "scratch/dead/deep");
  // Untrusted code may have taken the rights away.
  fs::permissions(root / "scratch/dead/deep", fs::perms::none);
  const auto next = FolderCache::open(root, kMebibyte);
  REQUIRE(next);
  CHECK_FALSE(fs::exists(root / "scratch/dead"));
  CHECK((*living)->make_scratch());
}

TEST_CASE("write_files: readable by everybody, inside of the folder only", "[integration]") {
  const fs::path folder = fresh_root();
  const std::string content = "content";
  const mode_t before = umask(077);
  REQUIRE(write_files(folder, {{"deep/er/file", &content, false}, {"tool", &content, true}}));
  umask(before);
  struct stat info{};
  REQUIRE(stat((folder / "deep/er/file").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0644);
  REQUIRE(stat((folder / "deep/er").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0755);
  REQUIRE(stat((folder / "tool").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0755);
  for (const char* path : {"../outside", "/etc/outside", "a/../../outside", ""}) {
    const auto refused = write_files(folder, {{path, &content, false}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::invalid_argument);
  }
}

TEST_CASE("built_file_size: takes regular files only and follows no link", "[integration]") {
  const fs::path folder = fresh_root();
  const std::string content = "content";
  REQUIRE(write_files(folder, {{"file", &content, false}}));
  fs::create_symlink("/etc/passwd", folder / "link");
  fs::create_symlink(folder, folder / "folder");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(built_file_size(folder, "file") == 7);
  CHECK(built_file_size(folder, "none").error().code == Errc::not_found);
  CHECK(built_file_size(folder, "link").error().code == Errc::invalid_argument);
  CHECK(built_file_size(folder, "folder/file").error().code == Errc::invalid_argument);
  CHECK(built_file_size(folder, "../file").error().code == Errc::invalid_argument);
  CHECK(built_file_size(folder, "pipe").error().code == Errc::invalid_argument);
}
