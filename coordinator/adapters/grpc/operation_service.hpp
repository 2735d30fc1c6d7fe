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

  grpc::ServerUnaryReactor* ListVariants(grpc::CallbackServerContext* context,
                                         const user::v1::ListVariantsRequest* request,
                                         user::v1::ListVariantsResponse* response) override {
    return calls_.answer(context, "ListVariants", list(request, response));
  }
  grpc::ServerUnaryReactor* GetVariant(grpc::CallbackServerContext* context,
                                       const user::v1::GetVariantRequest* request,
                                       user::v1::GetVariantResponse* response) override {
    return calls_.answer(context, "GetVariant", get(request, response));
  }
  grpc::ServerUnaryReactor* GetLineage(grpc::CallbackServerContext* context,
                                       const user::v1::GetLineageRequest* request,
                                       user::v1::GetLineageResponse* response) override {
    return calls_.answer(context, "GetLineage", lineage(request, response));
  }

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

  grpc::ServerUnaryReactor* RegisterTask(grpc::CallbackServerContext* context,
                                         const user::v1::RegisterTaskRequest* request,
                                         user::v1::RegisterTaskResponse* response) override {
    return calls_.answer(context, "RegisterTask", add(request, response));
  }
  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* context,
                                    const user::v1::GetTaskRequest* request,
                                    user::v1::GetTaskResponse* response) override {
    return calls_.answer(context, "GetTask", get(request, response));
  }
  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* context,
                                      const user::v1::ListTasksRequest* request,
                                      user::v1::ListTasksResponse* response) override {
    return calls_.answer(context, "ListTasks", list(request, response));
  }

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

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const user::v1::ListWorkersRequest* request,
                                        user::v1::ListWorkersResponse* response) override {
    return calls_.answer(context, "ListWorkers", list(request, response));
  }
  grpc::ServerUnaryReactor* DrainWorker(grpc::CallbackServerContext* context,
                                        const user::v1::DrainWorkerRequest* request,
                                        user::v1::DrainWorkerResponse* response) override {
    return calls_.answer(context, "DrainWorker", drain(request, response));
  }

 private:
  awaitable<grpc::Status> list(const user::v1::ListWorkersRequest* request,
                               user::v1::ListWorkersResponse* response);
  awaitable<grpc::Status> drain(const user::v1::DrainWorkerRequest* request,
                                user::v1::DrainWorkerResponse* response);

  Calls& calls_;
  AgentStore& store_;
  milliseconds lease_;
};

class CodegenService final : public user::v1::CodegenService::CallbackService {
 public:
  CodegenService(Calls& calls, AgentStore& store) : calls_(calls), store_(store) {}

  grpc::ServerUnaryReactor* GetUsage(grpc::CallbackServerContext* context,
                                     const user::v1::GetUsageRequest* request,
                                     user::v1::GetUsageResponse* response) override {
    return calls_.answer(context, "GetUsage", usage(request, response));
  }

 private:
  awaitable<grpc::Status> usage(const user::v1::GetUsageRequest* request,
                                user::v1::GetUsageResponse* response);

  Calls& calls_;
  AgentStore& store_;
};

}  // namespace cambrian::coordinator::wire
