#pragma once

#include <grpcpp/server.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "cambrian/agent/v1/blob_service.grpc.pb.h"

namespace cambrian::codegen::test {

/// The agents' side of a coordinator, in memory: hands out the proposals that a test gives it and
/// keeps what comes back. The whole coordinator is part of the system tests.
class TestCoordinator : public agent::v1::AgentService::Service,
                        public agent::v1::BlobService::Service {
 public:
  TestCoordinator();
  ~TestCoordinator();

  const std::string& address() const { return address_; }

  std::string add_content(const std::string& content);
  std::optional<std::string> find_content(const std::string& sha256) const;
  void offer(agent::v1::ProposalWork work);
  /// What is handed out from now on ends after so many seconds.
  void limit_attempts(int seconds) { attempt_seconds_ = seconds; }
  /// From now on as one that does not know BeginCall.
  void be_old() { is_old_ = true; }
  /// From now on contents up to so many bytes may come with reports.
  void take_contents(std::int64_t bytes) { contents_bytes_max_ = bytes; }
  /// Whether uploads are refused from now on.
  void fill_disk(bool is_full) { is_full_ = is_full; }
  int uploads() const { return uploads_; }
  /// The next so many askings for a call are told to wait a little.
  void delay_calls(int count) { delays_ = count; }
  /// What was asked and told of calls so far, refusals included.
  std::vector<agent::v1::BeginCallRequest> begun() const;
  std::vector<agent::v1::EndCallRequest> ended() const;

  /// Waits for a result, a release, or an agent, up to 30 s.
  std::optional<agent::v1::ProposalResult> wait_for_result();
  std::optional<agent::v1::Release> wait_for_release();
  std::optional<agent::v1::AgentDescription> wait_for_agent();
  /// Waits until an attempt runs.
  bool wait_for_phase(const std::string& phase);

 private:
  grpc::Status Sync(grpc::ServerContext* context, const agent::v1::SyncRequest* request,
                    agent::v1::SyncResponse* response) override;
  grpc::Status FinishProposal(grpc::ServerContext* context,
                              const agent::v1::FinishProposalRequest* request,
                              agent::v1::FinishProposalResponse* response) override;
  grpc::Status BeginCall(grpc::ServerContext* context, const agent::v1::BeginCallRequest* request,
                         agent::v1::BeginCallResponse* response) override;
  grpc::Status EndCall(grpc::ServerContext* context, const agent::v1::EndCallRequest* request,
                       agent::v1::EndCallResponse* response) override;
  grpc::Status FindMissingBlobs(grpc::ServerContext* context,
                                const agent::v1::FindMissingBlobsRequest* request,
                                agent::v1::FindMissingBlobsResponse* response) override;
  grpc::Status UploadBlob(grpc::ServerContext* context,
                          grpc::ServerReader<agent::v1::UploadBlobRequest>* reader,
                          agent::v1::UploadBlobResponse* response) override;
  grpc::Status DownloadBlob(grpc::ServerContext* context,
                            const agent::v1::DownloadBlobRequest* request,
                            grpc::ServerWriter<agent::v1::DownloadBlobResponse>* writer) override;

  template <class T>
  std::optional<T> wait_for(std::deque<T>& queue);

  std::atomic<bool> is_old_ = false;
  std::atomic<bool> is_full_ = false;
  std::atomic<std::int64_t> contents_bytes_max_ = 0;
  std::atomic<int> uploads_ = 0;
  std::atomic<int> delays_ = 0;
  std::atomic<int> attempt_seconds_ = 0;  ///< 0: not said.
  mutable std::mutex mutex_;              // Guards everything below.
  std::vector<agent::v1::BeginCallRequest> begun_;
  std::vector<agent::v1::EndCallRequest> ended_;
  std::condition_variable changed_;
  std::map<std::string, std::string> contents_;
  std::deque<agent::v1::ProposalWork> offered_;
  std::deque<agent::v1::ProposalResult> results_;
  std::deque<agent::v1::Release> released_;
  std::optional<agent::v1::AgentDescription> agent_;
  std::vector<std::string> phases_;  ///< Of what runs, as last reported.
  std::int64_t next_item_ = 1;

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace cambrian::codegen::test
