#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "codegen-client/ports/call_ledger.hpp"

namespace cambrian::codegen {

/// The calls of one proposal, on record at the coordinator. With one that is older than this, calls
/// are sent without a record and without shared limits.
class GrpcCallLedger : public CallLedger {
 public:
  /// Longest wait for a place within the shared limits, and for a coordinator that is away.
  static constexpr std::chrono::minutes kPatience{5};

  /// The stub must outlive it.
  GrpcCallLedger(agent::v1::AgentService::Stub& stub, std::string agent_id, agent::v1::Lease lease)
      : stub_(stub), agent_id_(std::move(agent_id)), lease_(std::move(lease)) {}

  Result<int> begin(const CallIntent& intent, std::stop_token stop) override;
  /// Of a call that succeeded as the last of those that run, the proposal's report is to tell: it
  /// follows at once, or another call does.
  void end(int number, const CallRecord& record,
           std::optional<std::chrono::milliseconds> pause) override;

  /// Tells the ends that were left to a report. For proposals that are not reported.
  void tell_ends();

 private:
  int note_begin();
  void note_end(std::optional<agent::v1::EndCallRequest> last);
  bool is_any_running() const;
  Result<int> ask(int number, const CallIntent& intent, std::stop_token stop);
  void tell_end(const agent::v1::EndCallRequest& request);

  agent::v1::AgentService::Stub& stub_;
  const std::string agent_id_;
  const agent::v1::Lease lease_;
  std::atomic<bool> is_supported_ = true;
  mutable std::mutex mutex_;  // Guards everything below.
  int numbers_ = 0;
  int running_ = 0;
  std::vector<agent::v1::EndCallRequest> untold_;
};

}  // namespace cambrian::codegen
