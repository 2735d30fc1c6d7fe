#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "common/blob/blob_client.hpp"
#include "common/digest/sha256.hpp"

namespace cambrian {
namespace {

/// A descriptor that is closed, and a file that is removed unless it was renamed.
class PartialFile {
 public:
  explicit PartialFile(std::filesystem::path path)
      : path_(std::move(path)),
        descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {}
  ~PartialFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!is_committed_) ::unlink(path_.c_str());
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  bool write(std::string_view content) const {
    if (descriptor_ < 0) return false;
    while (!content.empty()) {
      const ssize_t written = ::write(descriptor_, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      content.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }
  bool commit(const std::filesystem::path& target) {
    is_committed_ = ::rename(path_.c_str(), target.c_str()) == 0;
    return is_committed_;
  }

 private:
  std::filesystem::path path_;
  int descriptor_;
  bool is_committed_ = false;
};

}  // namespace

Result<std::unique_ptr<BlobCache>> BlobCache::open(std::filesystem::path directory,
                                                   std::int64_t bytes_max) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return fail(Errc::unavailable, "cannot create the cache folder; choose another one: path=" +
                                       directory.string() + " cause=" + error.message());
  }
  std::unique_ptr<BlobCache> cache(new BlobCache(std::move(directory), bytes_max));
  for (const auto& file : std::filesystem::directory_iterator(cache->directory_, error)) {
    const auto name = file.path().filename().string();
    if (!is_sha256_hex(name)) {
      std::filesystem::remove(file.path(), error);  // Left over by a process that was killed.
      continue;
    }
    const auto size = static_cast<std::int64_t>(file.file_size(error));
    cache->entries_[name] = {size, 0};
    cache->bytes_ += size;
  }
  cache->make_room_locked(0);
  return cache;
}

std::optional<std::string> BlobCache::find(const std::string& sha256) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(sha256);
    if (found == entries_.end()) return std::nullopt;
    found->second.last_use = ++clock_;
  }
  std::ifstream file(directory_ / sha256, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (file && sha256_hex(content) == sha256) return content;
  const std::lock_guard lock(mutex_);
  remove_locked(sha256);
  return std::nullopt;
}

Status BlobCache::store(const std::string& sha256, std::string_view content) {
  const std::lock_guard lock(mutex_);
  const auto size = static_cast<std::int64_t>(content.size());
  if (entries_.contains(sha256) || size > bytes_max_) return {};
  make_room_locked(size);
  PartialFile file(directory_ / (sha256 + ".partial"));
  if (!file.write(content) || !file.commit(directory_ / sha256)) {
    return fail(Errc::unavailable, "cannot write to the cache folder; is the disk full: path=" +
                                       directory_.string() + " cause=" + std::strerror(errno));
  }
  entries_[sha256] = {size, ++clock_};
  bytes_ += size;
  return {};
}

void BlobCache::remove_locked(const std::string& sha256) {
  const auto found = entries_.find(sha256);
  if (found == entries_.end()) return;
  bytes_ -= found->second.size_bytes;
  entries_.erase(found);
  std::error_code ignored;
  std::filesystem::remove(directory_ / sha256, ignored);
}

void BlobCache::make_room_locked(std::int64_t size_bytes) {
  while (!entries_.empty() && bytes_ + size_bytes > bytes_max_) {
    const auto oldest = std::ranges::min_element(
        entries_, {}, [](const auto& entry) { return entry.second.last_use; });
    remove_locked(std::string(oldest->first));
  }
}

}  // namespace cambrian
