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

/// The agent as everybody else knows it: an agent names itself, so that without the name of its
/// token any other could speak for it, and for its leases.
std::string own_id(const Caller& caller, const std::string& agent_id) {
  return caller.token_id.empty() ? agent_id : caller.name + "/" + agent_id;
}

}  // namespace

awaitable<grpc::Status> AgentService::sync(Caller caller, grpc::CallbackServerContext* context,
                                           const agent::v1::SyncRequest* request,
                                           agent::v1::SyncResponse* response) {
  Problems problems;
  auto report = from_proto(*request, problems);
  if (!problems.empty()) co_return status_of(problems);
  const bool is_worker = report.agent.kind == AgentKind::worker;
  if (caller.role != Role::admin && (caller.role == Role::worker) != is_worker) {
    co_return not_for_role(caller, "the token is not for this kind of agent");
  }
  report.agent.agent_id = own_id(caller, report.agent.agent_id);
  // It may wait for long: a token that ends meanwhile gets no work any more.
  const auto is_gone = [this, context, caller] {
    return context->IsCancelled() || !calls_.check_again(caller, "Sync").ok();
  };
  const auto answer = co_await api_.sync(std::move(report), is_gone);
  if (auto refusal = calls_.check_again(caller, "Sync"); !refusal.ok()) co_return refusal;
  if (!answer) co_return status_of(answer.error());
  to_proto(*answer, response);
  co_return grpc::Status::OK;
}

template <class Request>
awaitable<grpc::Status> AgentService::finish(Caller caller, const Request* request) {
  Problems problems;
  auto report = from_proto(*request, problems);
  if (!problems.empty()) co_return status_of(problems);
  report.agent_id = own_id(caller, report.agent_id);
  const auto lease = report.lease;
  const auto state = co_await api_.finish(std::move(report));
  if (!state) co_return status_of(state.error());
  const bool is_lost = state->verdict == Verdict::stale || state->verdict == Verdict::unknown;
  co_return is_lost ? lease_lost(lease) : grpc::Status::OK;
}

awaitable<grpc::Status> AgentService::begin_call(Caller caller,
                                                 const agent::v1::BeginCallRequest* request,
                                                 agent::v1::BeginCallResponse* response) {
  Problems problems;
  auto begin = from_proto(*request, problems);
  if (!problems.empty()) co_return status_of(problems);
  begin.key.agent_id = own_id(caller, begin.key.agent_id);
  const auto lease = begin.key.lease;
  const auto grant = co_await model_calls_.begin(std::move(begin));
  if (!grant) co_return status_of(grant.error());
  if (grant->is_lease_lost) co_return lease_lost(lease);
  if (grant->wait > milliseconds(0)) to_proto(grant->wait, response->mutable_wait());
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> AgentService::end_call(Caller caller,
                                               const agent::v1::EndCallRequest* request) {
  Problems problems;
  auto end = from_proto(*request, problems);
  if (!problems.empty()) co_return status_of(problems);
  end.key.agent_id = own_id(caller, end.key.agent_id);
  const auto status = co_await model_calls_.end(std::move(end));
  co_return status ? grpc::Status::OK : status_of(status.error());
}

template awaitable<grpc::Status> AgentService::finish(Caller,
                                                      const agent::v1::FinishEvaluationRequest*);
template awaitable<grpc::Status> AgentService::finish(Caller,
                                                      const agent::v1::FinishProposalRequest*);

}  // namespace cambrian::coordinator::wire
