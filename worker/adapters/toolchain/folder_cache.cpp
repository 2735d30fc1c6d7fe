#include "worker/adapters/toolchain/folder_cache.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEntries = "entries";
constexpr std::string_view kScratch = "scratch";
constexpr std::string_view kLocks = "locks";
// A cleaning looks at every folder: it comes after so many insertions at least, or after as many as
// are this part of the folders, or when the cache has grown by this part of its bytes.
constexpr std::uint64_t kInsertionsPerCleaning = 16;
constexpr std::int64_t kCleaningPart = 16;
constexpr int kLockTickMilliseconds = 100;

std::string reason(const fs::path& path, const std::error_code& error) {
  return "path=" + path.string() + " error=" + error.message();
}

Descriptor open_folder(const fs::path& path) {
  return Descriptor(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// Bytes that the files of a folder take on disk.
std::int64_t folder_bytes(const fs::path& folder) {
  std::int64_t total = 0;
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    struct stat info{};
    if (lstat(at->path().c_str(), &info) == 0) total += std::int64_t{info.st_blocks} * 512;
  }
  return total;
}

// Scratch folders whose process is gone.
void remove_orphans(const fs::path& scratch) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(scratch, error)) {
    const Descriptor folder = open_folder(entry.path());
    if (folder && flock(folder.get(), LOCK_EX | LOCK_NB) == 0) remove_folder(entry.path());
  }
}

struct Entry {
  fs::path path;
  fs::file_time_type last_use;
  std::int64_t bytes = 0;
};

}  // namespace

ScratchFolder::~ScratchFolder() {
  if (!path_.empty()) remove_folder(path_);
}

Result<std::unique_ptr<FolderCache>> FolderCache::open(fs::path root, std::int64_t bytes_max) {
  std::error_code error;
  for (const auto name : {kEntries, kScratch, kLocks}) {
    fs::create_directories(root / name, error);
    if (error) return fail(Errc::unavailable, "cache folder: " + reason(root / name, error));
  }
  // Other users of this machine have no business in here, nor has anything in a sandbox: what is
  // mounted there is mounted by itself.
  fs::permissions(root, fs::perms::owner_all, error);
  // Between its folder and the lock on it, another process would take ours for an orphan.
  const Descriptor one_at_a_time = open_folder(root);
  if (!one_at_a_time || flock(one_at_a_time.get(), LOCK_EX) != 0) {
    return fail(Errc::unavailable, "cache folder is not locked: path=" + root.string() +
                                       " error=" + std::strerror(errno));
  }
  remove_orphans(root / kScratch);
  const auto unique = std::chrono::system_clock::now().time_since_epoch().count();
  const fs::path scratch =
      root / kScratch / (std::to_string(getpid()) + "-" + std::to_string(unique));
  fs::create_directory(scratch, error);
  Descriptor lock = open_folder(scratch);
  if (error || !lock || flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::unavailable, "scratch folder: " + reason(scratch, error));
  }
  std::unique_ptr<FolderCache> cache(new FolderCache(root, bytes_max, std::move(lock), scratch));
  return cache;
}

std::optional<CachedFolder> FolderCache::find(const std::string& key) {
  const fs::path path = root_ / kEntries / key;
  Descriptor lock = open_folder(path);
  if (!lock || flock(lock.get(), LOCK_SH | LOCK_NB) != 0) return std::nullopt;
  // It may have been taken away between the two calls above.
  struct stat ours{}, there{};
  if (fstat(lock.get(), &ours) != 0 || lstat(path.c_str(), &there) != 0 ||
      ours.st_ino != there.st_ino) {
    return std::nullopt;
  }
  futimens(lock.get(), nullptr);
  return CachedFolder(path, std::move(lock));
}

Result<CachedFolder> FolderCache::insert(const std::string& key, const fs::path& folder) {
  const fs::path path = root_ / kEntries / key;
  const bool is_turn = insertions_++ >= next_cleaning_;
  const std::int64_t grown = bytes_grown_ += folder_bytes(folder);
  if (is_turn || grown > bytes_max_ / kCleaningPart) clean(grown);
  // A folder that is not empty is not replaced: the first one counts.
  if (rename(folder.c_str(), path.c_str()) != 0 && errno != EEXIST && errno != ENOTEMPTY) {
    return fail(Errc::unavailable,
                "cache takes no folder: path=" + path.string() + " error=" + std::strerror(errno));
  }
  if (auto found = find(key)) return std::move(*found);
  return fail(Errc::unavailable, "cache entry is gone: path=" + path.string());
}

Result<Descriptor> FolderCache::lock(const std::string& key, std::stop_token stop) {
  const fs::path path = root_ / kLocks / key;
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) {
    return fail(Errc::unavailable,
                "lock file: path=" + path.string() + " error=" + std::strerror(errno));
  }
  while (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (stop.stop_requested()) return fail(Errc::cancelled, "evaluation was cancelled");
    poll(nullptr, 0, kLockTickMilliseconds);
  }
  return file;
}

Result<ScratchFolder> FolderCache::make_scratch() {
  static std::atomic<std::uint64_t> number = 0;
  const fs::path path = scratch_ / std::to_string(++number);
  std::error_code error;
  if (!fs::create_directory(path, error) || error) {
    return fail(Errc::unavailable, "scratch folder: " + reason(path, error));
  }
  return ScratchFolder(path);
}

Status FolderCache::check_room(std::int64_t bytes) const {
  std::error_code error;
  const fs::space_info space = fs::space(root_, error);
  if (error) return fail(Errc::unavailable, "cache folder: " + reason(root_, error));
  if (space.available >= static_cast<std::uintmax_t>(bytes)) return {};
  return fail(Errc::exhausted, "disk is full: folder=" + root_.string() +
                                   " free_bytes=" + std::to_string(space.available) +
                                   " needed_bytes=" + std::to_string(bytes) +
                                   " (free some, or name another --cache)");
}

void FolderCache::clean(std::int64_t grown) {
  const std::unique_lock lock(cleaning_, std::try_to_lock);
  if (!lock) return;  // Somebody else is at it.
  bytes_grown_ -= grown;
  const std::size_t folders = make_room();
  next_cleaning_ = insertions_ + std::max(kInsertionsPerCleaning, folders / kCleaningPart);
}

std::size_t FolderCache::make_room() {
  std::error_code error;
  std::vector<Entry> entries;
  std::int64_t total = 0;
  for (const auto& entry : fs::directory_iterator(root_ / kEntries, error)) {
    std::error_code gone;
    entries.push_back({entry.path(), entry.last_write_time(gone), folder_bytes(entry.path())});
    total += entries.back().bytes;
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.last_use < b.last_use; });
  for (const Entry& entry : entries) {
    if (total <= bytes_max_) break;
    const Descriptor folder = open_folder(entry.path);
    if (!folder) total -= entry.bytes;  // Another process has taken it away.
    if (!folder || flock(folder.get(), LOCK_EX | LOCK_NB) != 0) continue;
    // Moved away first: nobody finds half of it.
    auto trash = make_scratch();
    if (!trash || rename(entry.path.c_str(), (trash->path() / "old").c_str()) != 0) continue;
    total -= entry.bytes;
  }
  return entries.size();
}

bool remove_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (!error) return true;
  // A folder without rights cannot be emptied. Only folders are changed: chmod on a link would
  // reach its target, and nothing runs in here any more that could put a link in place.
  std::error_code walk_error;
  fs::permissions(folder, fs::perms::owner_all, walk_error);
  fs::recursive_directory_iterator at(folder, walk_error);
  for (const fs::recursive_directory_iterator end; !walk_error && at != end;
       at.increment(walk_error)) {
    std::error_code ignored;
    if (at->is_directory(ignored) && !at->is_symlink(ignored)) {
      fs::permissions(at->path(), fs::perms::owner_all, ignored);
    }
  }
  error.clear();
  fs::remove_all(folder, error);
  return !error;
}

}  // namespace cambrian::worker
