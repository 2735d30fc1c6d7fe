#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cambrian/agent/v1/blob_service.grpc.pb.h"
#include "common/base/result.hpp"

namespace cambrian {

/// Contents on disk by digest, at most so many bytes, least recently used ones go first. Every
/// content is verified when it is read: a damaged file is removed and counts as absent.
/// Safe to use from several threads of one process; one process per folder.
class BlobCache {
 public:
  /// Creates the folder; takes over what is there.
  static Result<std::unique_ptr<BlobCache>> open(std::filesystem::path directory,
                                                 std::int64_t bytes_max);

  std::optional<std::string> find(const std::string& sha256);
  /// A content that is larger than the whole cache is not kept. Errors: unavailable when the disk
  /// is full or the folder cannot be written; nothing partial is left behind then.
  Status store(const std::string& sha256, std::string_view content);

 private:
  struct Entry {
    std::int64_t size_bytes = 0;
    std::int64_t last_use = 0;
  };
  BlobCache(std::filesystem::path directory, std::int64_t bytes_max)
      : directory_(std::move(directory)), bytes_max_(bytes_max) {}
  void remove_locked(const std::string& sha256);
  void make_room_locked(std::int64_t size_bytes);

  std::filesystem::path directory_;
  std::int64_t bytes_max_;
  std::mutex mutex_;  // Guards everything below.
  std::map<std::string, Entry> entries_;
  std::int64_t bytes_ = 0;
  std::int64_t clock_ = 0;
};

/// Moves contents to and from the coordinator. Calls block; any thread may call. Transient errors
/// are retried for about a minute; a download goes on where it broke off.
class BlobClient {
 public:
  /// `cache` may be null.
  BlobClient(std::shared_ptr<grpc::Channel> channel, std::unique_ptr<BlobCache> cache);

  /// The content, verified. Errors: not_found; unavailable; cancelled when stopped; internal when
  /// the content does not fit its digest.
  Result<std::string> download(const std::string& sha256, std::stop_token stop = {});

  /// Makes sure that the coordinator has all of these. Sends only what it lacks, and a single
  /// small one without asking.
  Status upload(const std::vector<std::string_view>& contents, std::stop_token stop = {});

  /// Stores a checkpoint, by one try that lasts at most so long. Gives its digest.
  Result<std::string> upload_checkpoint(std::string_view content,
                                        std::chrono::milliseconds time_max);

 private:
  grpc::Status upload_one(const std::string& sha256, std::string_view content,
                          std::chrono::milliseconds time_max, bool is_checkpoint);

  std::unique_ptr<agent::v1::BlobService::Stub> stub_;
  std::unique_ptr<BlobCache> cache_;
};

}  // namespace cambrian
