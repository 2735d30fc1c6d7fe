#include "coordinator/adapters/grpc/blob_service.hpp"

#include "common/digest/sha256.hpp"
#include "common/rpc/channel.hpp"

namespace cambrian::coordinator::wire {
namespace {

constexpr int kDigestsMax = 1'000;
constexpr std::size_t kUploadChunkBytesMax = 1024 * 1024;
/// Of all transfers together.
constexpr std::int64_t kTransferBytesMax = 256 * 1024 * 1024;
/// What a download reserves before the size of the content is known.
constexpr std::int64_t kDownloadReserveBytes = 4 * 1024 * 1024;

grpc::Status busy() {
  return status_of(Error{Errc::exhausted, "too many contents are being moved"});
}

}  // namespace

/// One upload: collects the chunks on gRPC's threads, then stores on the app's. Deletes itself in
/// OnDone.
class BlobService::Upload final : public grpc::ServerReadReactor<agent::v1::UploadBlobRequest> {
 public:
  /// Nothing is read before the caller is admitted.
  Upload(BlobService& service, Arrival arrival) : service_(service) {
    service_.calls_.ask(std::move(arrival), [this](const Admission& admission) {
      if (!admission.refusal.ok()) return Finish(admission.refusal);
      caller_ = admission.caller;
      StartRead(&request_);
    });
  }

 private:
  void OnReadDone(bool is_ok) override {
    if (!is_ok) return end();
    if (const auto problem = take_chunk()) return Finish(*problem);
    StartRead(&request_);
  }
  void OnCancel() override {}
  void OnDone() override { std::unique_ptr<Upload> self(this); }

  static grpc::Status invalid(const std::string& message) {
    return status_of(Error{Errc::invalid_argument, message});
  }

  std::optional<grpc::Status> take_chunk() {
    if (!has_begun_) {
      has_begun_ = true;
      sha256_ = request_.sha256();
      size_bytes_ = request_.size_bytes();
      is_checkpoint_ = request_.is_checkpoint();
      if (!is_sha256_hex(sha256_)) return invalid("sha256 must be 64 lower case hex digits");
      if (caller_.role == Role::worker && !is_checkpoint_) {
        return not_for_role(caller_, "workers store checkpoints only");
      }
      if (size_bytes_ < 0 || size_bytes_ > rpc::kBlobBytesMax) {
        return invalid("size_bytes must be 0 to 64 MiB: size_bytes=" + std::to_string(size_bytes_));
      }
      share_ = service_.budget_.try_take(size_bytes_);
      if (!share_) return busy();
      content_.reserve(static_cast<std::size_t>(size_bytes_));
    }
    if (request_.chunk().size() > kUploadChunkBytesMax) return invalid("a chunk is over 1 MiB");
    if (content_.size() + request_.chunk().size() > static_cast<std::size_t>(size_bytes_)) {
      return invalid("more bytes came than size_bytes says: sha256=" + sha256_);
    }
    content_ += request_.chunk();
    return std::nullopt;
  }

  void end() {
    if (!has_begun_) return Finish(invalid("nothing was sent"));
    if (content_.size() != static_cast<std::size_t>(size_bytes_)) {
      return Finish(invalid("fewer bytes came than size_bytes says: sha256=" + sha256_));
    }
    if (sha256_hex(content_) != sha256_) {
      return Finish(invalid("the content does not fit its digest: sha256=" + sha256_));
    }
    service_.calls_.run(this, "UploadBlob",
                        service_.store(sha256_, std::move(content_), is_checkpoint_));
  }

  BlobService& service_;
  agent::v1::UploadBlobRequest request_;
  Caller caller_;
  bool has_begun_ = false;
  bool is_checkpoint_ = false;
  std::string sha256_;
  std::int64_t size_bytes_ = 0;
  std::string content_;
  TransferBudget::Share share_;
};

BlobService::BlobService(Calls& calls, BlobStore& store)
    : calls_(calls), store_(store), budget_(kTransferBytesMax) {}

awaitable<grpc::Status> BlobService::find_missing(const agent::v1::FindMissingBlobsRequest* request,
                                                  agent::v1::FindMissingBlobsResponse* response) {
  if (request->sha256_size() > kDigestsMax) {
    co_return status_of(Problems{{"sha256", "at most 1000"}});
  }
  for (const auto& digest : request->sha256()) {
    if (!is_sha256_hex(digest)) {
      co_return status_of(Problems{{"sha256", "must be 64 lower case hex digits"}});
    }
  }
  const auto missing =
      co_await store_.find_missing({request->sha256().begin(), request->sha256().end()});
  if (!missing) co_return status_of(missing.error());
  for (const auto& digest : *missing) response->add_sha256(digest);
  co_return grpc::Status::OK;
}

grpc::ServerReadReactor<agent::v1::UploadBlobRequest>* BlobService::UploadBlob(
    grpc::CallbackServerContext* context, agent::v1::UploadBlobResponse* /*response*/) {
  return std::make_unique<Upload>(*this, arrival_of(*context, "UploadBlob"))
      .release();  // It deletes itself in OnDone.
}

awaitable<grpc::Status> BlobService::store(std::string sha256, std::string content,
                                           bool is_checkpoint) {
  Status status;
  if (is_checkpoint) {
    status = co_await store_.put_checkpoint(std::move(sha256), std::move(content));
  } else {
    status = co_await store_.put(std::move(sha256), std::move(content));
  }
  co_return status ? grpc::Status::OK : status_of(status.error());
}

grpc::ServerWriteReactor<agent::v1::DownloadBlobResponse>* BlobService::DownloadBlob(
    grpc::CallbackServerContext* context, const agent::v1::DownloadBlobRequest* request) {
  auto* stream = std::make_unique<DownloadStream>(calls_.executor()).release();
  calls_.serve(stream, arrival_of(*context, "DownloadBlob"),
               [this, stream, request = *request](const Caller& /*caller*/) {
                 return download(request, stream);
               });
  return stream;
}

awaitable<grpc::Status> BlobService::download(agent::v1::DownloadBlobRequest request,
                                              DownloadStream* stream) {
  if (!is_sha256_hex(request.sha256())) {
    co_return status_of(Problems{{"sha256", "must be 64 lower case hex digits"}});
  }
  auto share = budget_.try_take(kDownloadReserveBytes);
  if (!share) co_return busy();
  const auto content = co_await store_.get(request.sha256());
  if (!content) co_return status_of(content.error());
  const auto size = static_cast<std::int64_t>(content->size());
  if (size > kDownloadReserveBytes) share = budget_.try_take(size);
  if (!share) co_return busy();
  if (request.offset_bytes() < 0 || request.offset_bytes() > size) {
    co_return status_of(Problems{{"offset_bytes", "must be 0 to the size of the content"}});
  }
  auto offset = static_cast<std::size_t>(request.offset_bytes());
  do {
    agent::v1::DownloadBlobResponse response;
    if (offset == static_cast<std::size_t>(request.offset_bytes())) response.set_size_bytes(size);
    response.set_chunk(content->substr(offset, rpc::kChunkBytes));
    offset += response.chunk().size();
    if (!co_await stream->write(std::move(response))) co_return grpc::Status::CANCELLED;
  } while (offset < content->size());
  co_return grpc::Status::OK;
}

}  // namespace cambrian::coordinator::wire
