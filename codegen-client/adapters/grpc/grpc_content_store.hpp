#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "cambrian/agent/v1/work.pb.h"
#include "codegen-client/domain/proposal.hpp"
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

  /// The report as it is sent: its contents go with it where they have at most so many bytes, and
  /// are uploaded before else. Where that fails it becomes a failure of ours.
  agent::v1::ProposalResult hand_in(ProposalReport report, std::int64_t contents_bytes_max);

 private:
  void remember(const std::string& sha256, const std::string& content);

  BlobClient& client_;
  std::mutex mutex_;  // Guards everything below.
  std::map<std::string, std::string> cache_;
  std::deque<std::string> order_;  ///< Of the cache, the oldest first.
  std::size_t cache_bytes_ = 0;
};

}  // namespace cambrian::codegen
