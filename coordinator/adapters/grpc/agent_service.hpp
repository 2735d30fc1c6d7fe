#pragma once

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "coordinator/adapters/grpc/calls.hpp"

namespace cambrian::coordinator::wire {

class AgentService final : public agent::v1::AgentService::CallbackService {
 public:
  AgentService(Calls& calls, AgentApi& api, CallStore& model_calls)
      : calls_(calls), api_(api), model_calls_(model_calls) {}

  CAMBRIAN_UNARY(agent::v1, Sync, sync(caller, context, request, response))
  CAMBRIAN_UNARY(agent::v1, FinishEvaluation, finish(caller, request))
  CAMBRIAN_UNARY(agent::v1, FinishProposal, finish(caller, request))
  CAMBRIAN_UNARY(agent::v1, BeginCall, begin_call(caller, request, response))
  CAMBRIAN_UNARY(agent::v1, EndCall, end_call(caller, request))

 private:
  // Pointers are gRPC's and live until Finish, which comes after the coroutine.
  awaitable<grpc::Status> sync(Caller caller, grpc::CallbackServerContext* context,
                               const agent::v1::SyncRequest* request,
                               agent::v1::SyncResponse* response);
  template <class Request>
  awaitable<grpc::Status> finish(Caller caller, const Request* request);
  awaitable<grpc::Status> begin_call(Caller caller, const agent::v1::BeginCallRequest* request,
                                     agent::v1::BeginCallResponse* response);
  awaitable<grpc::Status> end_call(Caller caller, const agent::v1::EndCallRequest* request);

  Calls& calls_;
  AgentApi& api_;
  CallStore& model_calls_;
};

}  // namespace cambrian::coordinator::wire
