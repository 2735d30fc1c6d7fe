#pragma once

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "coordinator/adapters/grpc/calls.hpp"
#include "coordinator/ports/agent_store.hpp"
#include "coordinator/ports/campaign_store.hpp"
#include "coordinator/ports/content_store.hpp"

/// The services that are little more than a store with messages around it.
namespace cambrian::coordinator::wire {

class VariantService final : public user::v1::VariantService::CallbackService {
 public:
  VariantService(Calls& calls, VariantStore& store) : calls_(calls), store_(store) {}

  CAMBRIAN_UNARY(user::v1, ListVariants, list(request, response))
  CAMBRIAN_UNARY(user::v1, GetVariant, get(request, response))
  CAMBRIAN_UNARY(user::v1, GetLineage, lineage(request, response))

 private:
  awaitable<grpc::Status> list(const user::v1::ListVariantsRequest* request,
                               user::v1::ListVariantsResponse* response);
  awaitable<grpc::Status> get(const user::v1::GetVariantRequest* request,
                              user::v1::GetVariantResponse* response);
  awaitable<grpc::Status> lineage(const user::v1::GetLineageRequest* request,
                                  user::v1::GetLineageResponse* response);

  Calls& calls_;
  VariantStore& store_;
};

class TaskService final : public user::v1::TaskService::CallbackService {
 public:
  TaskService(Calls& calls, TaskStore& tasks, BlobStore& blobs)
      : calls_(calls), tasks_(tasks), blobs_(blobs) {}

  CAMBRIAN_UNARY(user::v1, RegisterTask, add(request, response))
  CAMBRIAN_UNARY(user::v1, GetTask, get(request, response))
  CAMBRIAN_UNARY(user::v1, ListTasks, list(request, response))

 private:
  awaitable<grpc::Status> add(const user::v1::RegisterTaskRequest* request,
                              user::v1::RegisterTaskResponse* response);
  awaitable<grpc::Status> get(const user::v1::GetTaskRequest* request,
                              user::v1::GetTaskResponse* response);
  awaitable<grpc::Status> list(const user::v1::ListTasksRequest* request,
                               user::v1::ListTasksResponse* response);

  Calls& calls_;
  TaskStore& tasks_;
  BlobStore& blobs_;
};

class WorkerService final : public user::v1::WorkerService::CallbackService {
 public:
  WorkerService(Calls& calls, AgentStore& store, milliseconds lease)
      : calls_(calls), store_(store), lease_(lease) {}

  CAMBRIAN_UNARY(user::v1, ListWorkers, list(request, response))
  CAMBRIAN_UNARY(user::v1, DrainWorker, drain(request, response))
  CAMBRIAN_UNARY(user::v1, ReleaseWorker, release(request, response))

 private:
  awaitable<grpc::Status> list(const user::v1::ListWorkersRequest* request,
                               user::v1::ListWorkersResponse* response);
  awaitable<grpc::Status> drain(const user::v1::DrainWorkerRequest* request,
                                user::v1::DrainWorkerResponse* response);
  awaitable<grpc::Status> release(const user::v1::ReleaseWorkerRequest* request,
                                  user::v1::ReleaseWorkerResponse* response);

  Calls& calls_;
  AgentStore& store_;
  milliseconds lease_;
};

class CodegenService final : public user::v1::CodegenService::CallbackService {
 public:
  CodegenService(Calls& calls, AgentStore& store) : calls_(calls), store_(store) {}

  CAMBRIAN_UNARY(user::v1, GetUsage, usage(request, response))

 private:
  awaitable<grpc::Status> usage(const user::v1::GetUsageRequest* request,
                                user::v1::GetUsageResponse* response);

  Calls& calls_;
  AgentStore& store_;
};

}  // namespace cambrian::coordinator::wire
