#include "tests/integration/codegen-client/test_coordinator.hpp"

#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>

#include "common/digest/sha256.hpp"
#include "common/rpc/channel.hpp"

namespace cambrian::codegen::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 30s;

}  // namespace

TestCoordinator::TestCoordinator() {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  rpc::apply_server_limits(builder);
  builder.RegisterService(static_cast<agent::v1::AgentService::Service*>(this));
  builder.RegisterService(static_cast<agent::v1::BlobService::Service*>(this));
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

TestCoordinator::~TestCoordinator() { server_->Shutdown(std::chrono::system_clock::now() + 1s); }

std::string TestCoordinator::add_content(const std::string& content) {
  const std::lock_guard lock(mutex_);
  const std::string digest = sha256_hex(content);
  contents_[digest] = content;
  return digest;
}

std::optional<std::string> TestCoordinator::find_content(const std::string& sha256) const {
  const std::lock_guard lock(mutex_);
  const auto found = contents_.find(sha256);
  return found == contents_.end() ? std::nullopt : std::optional(found->second);
}

void TestCoordinator::offer(agent::v1::ProposalWork work) {
  const std::lock_guard lock(mutex_);
  offered_.push_back(std::move(work));
  changed_.notify_all();
}

template <class T>
std::optional<T> TestCoordinator::wait_for(std::deque<T>& queue) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [&queue] { return !queue.empty(); })) return {};
  T value = std::move(queue.front());
  queue.pop_front();
  return value;
}

std::optional<agent::v1::ProposalResult> TestCoordinator::wait_for_result() {
  return wait_for(results_);
}

std::optional<agent::v1::Release> TestCoordinator::wait_for_release() {
  return wait_for(released_);
}

std::optional<agent::v1::AgentDescription> TestCoordinator::wait_for_agent() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [this] { return agent_.has_value(); });
  return agent_;
}

bool TestCoordinator::wait_for_phase(const std::string& phase) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] {
    return std::find(phases_.begin(), phases_.end(), phase) != phases_.end();
  });
}

grpc::Status TestCoordinator::Sync(grpc::ServerContext* context,
                                   const agent::v1::SyncRequest* request,
                                   agent::v1::SyncResponse* response) {
  std::unique_lock lock(mutex_);
  agent_ = request->agent();
  phases_.clear();
  for (const auto& running : request->running()) phases_.push_back(running.phase());
  for (const auto& release : request->released()) released_.push_back(release);
  changed_.notify_all();
  if (request->wanted() > 0) {
    changed_.wait_for(lock, 200ms, [this] { return !offered_.empty(); });
  }
  // An agent that has gone must not take an item along.
  if (context->IsCancelled()) return grpc::Status::CANCELLED;
  for (int i = 0; i < request->wanted() && !offered_.empty(); ++i) {
    auto& assignment = *response->add_assignments();
    assignment.mutable_lease()->set_item_id(next_item_++);
    assignment.mutable_lease()->set_epoch(1);
    if (attempt_seconds_ > 0) assignment.mutable_attempt_budget()->set_seconds(attempt_seconds_);
    *assignment.mutable_proposal() = std::move(offered_.front());
    offered_.pop_front();
  }
  response->set_contents_bytes_max(contents_bytes_max_);
  response->mutable_lease_duration()->set_seconds(60);
  response->mutable_next_sync()->set_nanos(200'000'000);
  return grpc::Status::OK;
}

grpc::Status TestCoordinator::FinishProposal(grpc::ServerContext*,
                                             const agent::v1::FinishProposalRequest* request,
                                             agent::v1::FinishProposalResponse*) {
  for (const auto& content : request->result().contents()) add_content(content);
  const std::lock_guard lock(mutex_);
  results_.push_back(request->result());
  changed_.notify_all();
  return grpc::Status::OK;
}

std::vector<agent::v1::BeginCallRequest> TestCoordinator::begun() const {
  const std::lock_guard lock(mutex_);
  return begun_;
}

std::vector<agent::v1::EndCallRequest> TestCoordinator::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

grpc::Status TestCoordinator::BeginCall(grpc::ServerContext*,
                                        const agent::v1::BeginCallRequest* request,
                                        agent::v1::BeginCallResponse* response) {
  if (is_old_) return {grpc::StatusCode::UNIMPLEMENTED, ""};
  const std::lock_guard lock(mutex_);
  begun_.push_back(*request);
  if (delays_ > 0) {
    --delays_;
    response->mutable_wait()->set_nanos(50'000'000);
  }
  return grpc::Status::OK;
}

grpc::Status TestCoordinator::EndCall(grpc::ServerContext*,
                                      const agent::v1::EndCallRequest* request,
                                      agent::v1::EndCallResponse*) {
  const std::lock_guard lock(mutex_);
  ended_.push_back(*request);
  return grpc::Status::OK;
}

grpc::Status TestCoordinator::FindMissingBlobs(grpc::ServerContext*,
                                               const agent::v1::FindMissingBlobsRequest* request,
                                               agent::v1::FindMissingBlobsResponse* response) {
  const std::lock_guard lock(mutex_);
  for (const auto& digest : request->sha256()) {
    if (!contents_.contains(digest)) response->add_sha256(digest);
  }
  return grpc::Status::OK;
}

grpc::Status TestCoordinator::UploadBlob(grpc::ServerContext*,
                                         grpc::ServerReader<agent::v1::UploadBlobRequest>* reader,
                                         agent::v1::UploadBlobResponse*) {
  if (is_full_) return {grpc::StatusCode::PERMISSION_DENIED, "the disk is full"};
  ++uploads_;
  agent::v1::UploadBlobRequest request;
  std::string digest;
  std::string content;
  while (reader->Read(&request)) {
    if (!request.sha256().empty()) digest = request.sha256();
    content += request.chunk();
  }
  if (sha256_hex(content) != digest) return {grpc::StatusCode::INVALID_ARGUMENT, "digest"};
  add_content(content);
  return grpc::Status::OK;
}

grpc::Status TestCoordinator::DownloadBlob(
    grpc::ServerContext*, const agent::v1::DownloadBlobRequest* request,
    grpc::ServerWriter<agent::v1::DownloadBlobResponse>* writer) {
  const auto content = find_content(request->sha256());
  if (!content) return {grpc::StatusCode::NOT_FOUND, "no such content"};
  agent::v1::DownloadBlobResponse response;
  response.set_size_bytes(static_cast<std::int64_t>(content->size()));
  response.set_chunk(content->substr(static_cast<std::size_t>(request->offset_bytes())));
  writer->Write(response);
  return grpc::Status::OK;
}

}  // namespace cambrian::codegen::test
