#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"
#include "worker/ports/descriptor.hpp"

namespace cambrian::worker {

/// A folder of the cache in use: no process removes it while this lives.
class CachedFolder {
 public:
  CachedFolder(std::filesystem::path path, Descriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  Descriptor lock_;  // Holds a shared flock on the folder.
};

/// A folder that is removed with everything in it.
class ScratchFolder {
 public:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Folders by key, on disk, shared by all workers of one user: at most so many bytes, the least
/// recently used go first. A folder is made elsewhere and appears at once, complete. Also hands out
/// scratch folders, and removes those of processes that died.
///
/// Threads: any. Keys are file names: letters, digits, dashes.
class FolderCache {
 public:
  /// Errors: unavailable when the folder cannot be made or written.
  static Result<std::unique_ptr<FolderCache>> open(std::filesystem::path root,
                                                   std::int64_t bytes_max);

  std::optional<CachedFolder> find(const std::string& key);
  /// Moves `folder`, which lies in a scratch folder of this cache, to its place; where another
  /// process was faster, its folder counts. Errors: unavailable when the disk does not take it.
  Result<CachedFolder> insert(const std::string& key, const std::filesystem::path& folder);
  /// Keeps others, here and in other processes, from making the same folder at the same time.
  /// Errors: cancelled.
  Result<Descriptor> lock(const std::string& key, std::stop_token stop);
  Result<ScratchFolder> make_scratch();
  /// Room on its disk. A build that meets a full disk looks like a fault of its source, so it is
  /// asked before. Errors: exhausted, with the folder, when fewer than `bytes` are left.
  Status check_room(std::int64_t bytes) const;

 private:
  FolderCache(std::filesystem::path root, std::int64_t bytes_max, Descriptor lock,
              std::filesystem::path scratch)
      : root_(std::move(root)),
        bytes_max_(bytes_max),
        scratch_lock_(std::move(lock)),
        scratch_(std::move(scratch)) {}
  void clean(std::int64_t grown);
  /// Removes what is too much. Returns how many folders there were.
  std::size_t make_room();

  std::filesystem::path root_;
  std::int64_t bytes_max_;
  Descriptor scratch_lock_;
  std::filesystem::path scratch_;
  std::mutex cleaning_;
  std::atomic<std::uint64_t> insertions_ = 0;
  std::atomic<std::uint64_t> next_cleaning_ = 0;  ///< At so many insertions.
  std::atomic<std::int64_t> bytes_grown_ = 0;     ///< Since the last cleaning.
};

/// Removes a folder that untrusted code may have filled, however its rights are set. Follows no
/// links. Returns false when something is left.
bool remove_folder(const std::filesystem::path& folder);

}  // namespace cambrian::worker
