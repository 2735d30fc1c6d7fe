#include "common/blob/blob_client.hpp"

#include <algorithm>
#include <chrono>

#include "common/digest/sha256.hpp"
#include "common/log/log.hpp"
#include "common/rpc/backoff.hpp"
#include "common/rpc/channel.hpp"
#include "common/rpc/status.hpp"

namespace cambrian {
namespace {

using namespace std::chrono_literals;

constexpr auto kCallTimeout = 60s;
constexpr int kTriesMax = 20;  // With the back-off of 5 s: about a minute.
constexpr std::size_t kFindBatch = 1000;
/// A single content up to this size is sent without asking whether it is there: the question would
/// cost as much.
constexpr std::size_t kUnaskedBytes = 16 * 1024;

/// Calls `call` until it succeeds, fails for good, or the tries are used up.
template <class Call>
grpc::Status with_retries(std::stop_token stop, Call call) {
  rpc::Backoff backoff(0);
  grpc::Status status;
  for (int i = 0; i < kTriesMax; ++i) {
    if (stop.stop_requested()) return {grpc::StatusCode::CANCELLED, "stopped"};
    status = call();
    if (status.ok() || !rpc::is_retryable(status.error_code())) return status;
    rpc::wait_unless_stopped(stop, backoff.next());
  }
  return status;
}

}  // namespace

BlobClient::BlobClient(std::shared_ptr<grpc::Channel> channel, std::unique_ptr<BlobCache> cache)
    : stub_(agent::v1::BlobService::NewStub(std::move(channel))), cache_(std::move(cache)) {}

Result<std::string> BlobClient::download(const std::string& sha256, std::stop_token stop) {
  if (cache_) {
    if (auto content = cache_->find(sha256)) return std::move(*content);
  }
  std::string content;
  const auto status = with_retries(stop, [&] {
    grpc::ClientContext context;
    rpc::set_deadline(context, kCallTimeout);
    agent::v1::DownloadBlobRequest request;
    request.set_sha256(sha256);
    request.set_offset_bytes(static_cast<std::int64_t>(content.size()));
    const auto reader = stub_->DownloadBlob(&context, request);
    agent::v1::DownloadBlobResponse response;
    while (reader->Read(&response)) {
      content += response.chunk();
      if (static_cast<std::int64_t>(content.size()) > rpc::kBlobBytesMax) context.TryCancel();
    }
    return reader->Finish();
  });
  if (!status.ok()) {
    auto error = rpc::from_status(status);
    error.message = "cannot download a content: sha256=" + sha256 + " cause=" + error.message;
    return fail(std::move(error));
  }
  if (sha256_hex(content) != sha256) {
    return fail(Errc::internal, "a downloaded content does not fit its digest: sha256=" + sha256);
  }
  if (cache_) {
    // Without its cache an agent is slow, not wrong.
    if (const auto stored = cache_->store(sha256, content); !stored) {
      log::warn("blob_cache_failed", {{"cause", stored.error().message}});
    }
  }
  return content;
}

Status BlobClient::upload(const std::vector<std::string_view>& contents, std::stop_token stop) {
  std::map<std::string, std::string_view> by_digest;
  for (const auto content : contents) by_digest[sha256_hex(content)] = content;
  const auto send = [this, &stop](const std::string& sha256, std::string_view content) -> Status {
    const auto sent =
        with_retries(stop, [&] { return upload_one(sha256, content, kCallTimeout, false); });
    return sent.ok() ? Status() : fail(rpc::from_status(sent));
  };
  if (by_digest.size() == 1 && by_digest.begin()->second.size() <= kUnaskedBytes) {
    return send(by_digest.begin()->first, by_digest.begin()->second);
  }
  auto next = by_digest.begin();
  while (next != by_digest.end()) {
    agent::v1::FindMissingBlobsRequest request;
    for (std::size_t i = 0; i < kFindBatch && next != by_digest.end(); ++i, ++next) {
      request.add_sha256(next->first);
    }
    agent::v1::FindMissingBlobsResponse response;
    const auto status = with_retries(stop, [&] {
      grpc::ClientContext context;
      rpc::set_deadline(context, kCallTimeout);
      return stub_->FindMissingBlobs(&context, request, &response);
    });
    if (!status.ok()) return fail(rpc::from_status(status));
    for (const auto& missing : response.sha256()) {
      const auto found = by_digest.find(missing);
      if (found == by_digest.end()) continue;
      CAMBRIAN_TRY_STATUS(send(found->first, found->second));
    }
  }
  return {};
}

Result<std::string> BlobClient::upload_checkpoint(std::string_view content,
                                                  std::chrono::milliseconds time_max) {
  std::string sha256 = sha256_hex(content);
  const auto status = upload_one(sha256, content, time_max, true);
  if (!status.ok()) return fail(rpc::from_status(status));
  return sha256;
}

grpc::Status BlobClient::upload_one(const std::string& sha256, std::string_view content,
                                    std::chrono::milliseconds time_max, bool is_checkpoint) {
  grpc::ClientContext context;
  rpc::set_deadline(context, time_max);
  agent::v1::UploadBlobResponse response;
  const auto writer = stub_->UploadBlob(&context, &response);
  agent::v1::UploadBlobRequest request;
  request.set_sha256(sha256);
  request.set_size_bytes(static_cast<std::int64_t>(content.size()));
  request.set_is_checkpoint(is_checkpoint);
  bool is_first = true;
  while (is_first || !content.empty()) {
    const auto piece = content.substr(0, rpc::kChunkBytes);
    request.set_chunk(piece.data(), piece.size());
    content.remove_prefix(piece.size());
    if (!writer->Write(request)) break;  // Finish says why.
    request.clear_sha256();
    request.clear_size_bytes();
    request.clear_is_checkpoint();
    is_first = false;
  }
  writer->WritesDone();
  return writer->Finish();
}

}  // namespace cambrian
