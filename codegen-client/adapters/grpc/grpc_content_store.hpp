#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "codegen-client/ports/content_store.hpp"
#include "common/blob/blob_client.hpp"

namespace cambrian::codegen {

/// Contents of the coordinator, by its BlobService. Keeps what was read or written lately in
/// memory: parents and inspirations come again and again.
class GrpcContentStore : public ContentStore {
 public:
  static constexpr std::size_t kCacheBytesMax = std::size_t{32} << 20;

  /// The client must outlive the store.
  explicit GrpcContentStore(BlobClient& client) : client_(client) {}

  Result<Task> get_task(const std::string& digest, std::stop_token stop) override;
  Result<std::string> get_content(const std::string& sha256, std::stop_token stop) override;
  Status put_contents(const std::vector<std::string_view>& contents, std::stop_token stop) override;

 private:
  void remember(const std::string& sha256, const std::string& content);

  BlobClient& client_;
  std::mutex mutex_;  // Guards everything below.
  std::map<std::string, std::string> cache_;
  std::deque<std::string> order_;  ///< Of the cache, the oldest first.
  std::size_t cache_bytes_ = 0;
};

}  // namespace cambrian::codegen
