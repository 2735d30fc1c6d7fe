#include "common/agent/report.hpp"

#include <algorithm>
#include <chrono>

#include "common/failpoint/failpoint.hpp"
#include "common/log/log.hpp"
#include "common/rpc/backoff.hpp"
#include "common/rpc/channel.hpp"
#include "common/rpc/status.hpp"

namespace cambrian::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kReportTimeout = 30s;
// A token that was replaced is read again within seconds.
constexpr auto kReportTokenPatience = 10s;
// Longer outages than this lose the work of one attempt, not the variant.
constexpr auto kReportPatience = 1h;

grpc::Status send(v1::AgentService::Stub& stub, const std::string& agent_id, const v1::Lease& lease,
                  const AttemptOutcome& outcome) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kReportTimeout);
  if (const auto* evaluation = std::get_if<v1::EvaluationResult>(&outcome)) {
    v1::FinishEvaluationRequest request;
    request.set_agent_id(agent_id);
    *request.mutable_lease() = lease;
    *request.mutable_result() = *evaluation;
    v1::FinishEvaluationResponse response;
    return stub.FinishEvaluation(&context, request, &response);
  }
  v1::FinishProposalRequest request;
  request.set_agent_id(agent_id);
  *request.mutable_lease() = lease;
  *request.mutable_result() = std::get<v1::ProposalResult>(outcome);
  v1::FinishProposalResponse response;
  return stub.FinishProposal(&context, request, &response);
}

bool is_final(grpc::StatusCode code) {
  return code == grpc::StatusCode::INVALID_ARGUMENT || code == grpc::StatusCode::NOT_FOUND ||
         code == grpc::StatusCode::PERMISSION_DENIED || code == grpc::StatusCode::UNIMPLEMENTED;
}

}  // namespace

Report report(v1::AgentService::Stub& stub, const std::string& agent_id, const v1::Lease& lease,
              const AttemptOutcome& outcome, std::stop_token stop) {
  rpc::Backoff backoff(static_cast<std::uint64_t>(lease.item_id()));
  auto give_up = std::chrono::steady_clock::now() + kReportPatience;
  for (;;) {
    CAMBRIAN_FAILPOINT("agent", "reporting");
    const auto status = send(stub, agent_id, lease, outcome);
    CAMBRIAN_FAILPOINT("agent", "reported");
    if (status.ok()) {
      log::debug("report_delivered", {{"item", lease.item_id()}, {"epoch", lease.epoch()}});
      return {};
    }
    if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
      // The coordinator has recorded it with its cost; the lease belongs to somebody else.
      log::warn(
          "report_not_counted",
          {{"item", lease.item_id()}, {"epoch", lease.epoch()}, {"cause", status.error_message()}});
      return {};
    }
    if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) {
      give_up = std::min(give_up, std::chrono::steady_clock::now() + kReportTokenPatience);
    }
    if (is_final(status.error_code()) || std::chrono::steady_clock::now() > give_up) {
      log::error(
          "report_refused",
          {{"item", lease.item_id()}, {"epoch", lease.epoch()}, {"cause", status.error_message()}});
      return {Delivery::refused, status.error_message()};
    }
    const auto hint = rpc::details_of(status).retry_delay;
    if (!rpc::wait_unless_stopped(stop, hint.value_or(backoff.next()))) {
      return {Delivery::stopped, status.error_message()};
    }
  }
}

}  // namespace cambrian::agent
