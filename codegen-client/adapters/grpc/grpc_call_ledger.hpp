#pragma once

#include <atomic>
#include <string>

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
  void end(int number, const CallRecord& record,
           std::optional<std::chrono::milliseconds> pause) override;

 private:
  agent::v1::AgentService::Stub& stub_;
  const std::string agent_id_;
  const agent::v1::Lease lease_;
  std::atomic<int> numbers_ = 0;
  std::atomic<bool> is_supported_ = true;
};

}  // namespace cambrian::codegen
