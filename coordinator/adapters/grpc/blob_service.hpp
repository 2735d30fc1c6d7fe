#pragma once

#include <atomic>

#include "cambrian/agent/v1/blob_service.grpc.pb.h"
#include "coordinator/adapters/grpc/calls.hpp"
#include "coordinator/adapters/grpc/stream.hpp"
#include "coordinator/ports/content_store.hpp"

namespace cambrian::coordinator::wire {

/// Bytes of contents that are in memory for transfers: at most so many, else `exhausted`.
class TransferBudget {
 public:
  /// A share of the budget; given back when it goes.
  class Share {
   public:
    Share() = default;
    Share(TransferBudget* budget, std::int64_t bytes) : budget_(budget), bytes_(bytes) {}
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Share() {
      if (budget_ != nullptr) budget_->used_ -= bytes_;
    }
    explicit operator bool() const { return budget_ != nullptr; }

   private:
    TransferBudget* budget_ = nullptr;
    std::int64_t bytes_ = 0;
  };

  explicit TransferBudget(std::int64_t bytes_max) : bytes_max_(bytes_max) {}

  Share try_take(std::int64_t bytes) {
    const std::int64_t used = used_ += bytes;
    if (used <= bytes_max_) return {this, bytes};
    used_ -= bytes;
    return {};
  }

 private:
  std::int64_t bytes_max_;
  std::atomic<std::int64_t> used_ = 0;
};

class BlobService final : public agent::v1::BlobService::CallbackService {
 public:
  BlobService(Calls& calls, BlobStore& store);

  CAMBRIAN_UNARY(agent::v1, FindMissingBlobs, find_missing(request, response))
  grpc::ServerReadReactor<agent::v1::UploadBlobRequest>* UploadBlob(
      grpc::CallbackServerContext* context, agent::v1::UploadBlobResponse* response) override;
  grpc::ServerWriteReactor<agent::v1::DownloadBlobResponse>* DownloadBlob(
      grpc::CallbackServerContext* context, const agent::v1::DownloadBlobRequest* request) override;

 private:
  using DownloadStream = WriteStream<agent::v1::DownloadBlobResponse>;
  class Upload;

  awaitable<grpc::Status> find_missing(const agent::v1::FindMissingBlobsRequest* request,
                                       agent::v1::FindMissingBlobsResponse* response);
  awaitable<grpc::Status> download(agent::v1::DownloadBlobRequest request, DownloadStream* stream);
  awaitable<grpc::Status> store(std::string sha256, std::string content, bool is_checkpoint);

  Calls& calls_;
  BlobStore& store_;
  TransferBudget budget_;
};

}  // namespace cambrian::coordinator::wire
