#include "coordinator/adapters/grpc/agent_service.hpp"

namespace cambrian::coordinator::wire {
namespace {

/// The lease is no longer the caller's: it must forget the item.
grpc::Status lease_lost(const Lease& lease) {
  rpc::Details details;
  details.reason = rpc::kLeaseLost;
  details.metadata = {{"item_id", std::to_string(lease.item.value)},
                      {"epoch", std::to_string(lease.epoch)}};
  return rpc::to_status({Errc::conflict, "lease lost: item=" + details.metadata["item_id"] +
                                             " epoch=" + details.metadata["epoch"]},
                        details);
}

}  // namespace

awaitable<grpc::Status> AgentService::sync(grpc::CallbackServerContext* context,
                                           const agent::v1::SyncRequest* request,
                                           agent::v1::SyncResponse* response) {
  Problems problems;
  auto report = from_proto(*request, problems);
  if (!problems.empty()) co_return status_of(problems);
  const auto answer =
      co_await api_.sync(std::move(report), [context] { return context->IsCancelled(); });
  if (!answer) co_return status_of(answer.error());
  to_proto(*answer, response);
  co_return grpc::Status::OK;
}

template <class Request>
awaitable<grpc::Status> AgentService::finish(const Request* request) {
  Problems problems;
  auto report = from_proto(*request, problems);
  if (!problems.empty()) co_return status_of(problems);
  const auto lease = report.lease;
  const auto state = co_await api_.finish(std::move(report));
  if (!state) co_return status_of(state.error());
  const bool is_lost = state->verdict == Verdict::stale || state->verdict == Verdict::unknown;
  co_return is_lost ? lease_lost(lease) : grpc::Status::OK;
}

template awaitable<grpc::Status> AgentService::finish(const agent::v1::FinishEvaluationRequest*);
template awaitable<grpc::Status> AgentService::finish(const agent::v1::FinishProposalRequest*);

}  // namespace cambrian::coordinator::wire
