#pragma once

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "coordinator/adapters/grpc/calls.hpp"
#include "coordinator/adapters/grpc/spec_resolver.hpp"
#include "coordinator/adapters/grpc/stream.hpp"
#include "coordinator/ports/campaign_api.hpp"
#include "coordinator/ports/content_store.hpp"
#include "coordinator/ports/import_store.hpp"

namespace cambrian::coordinator::wire {

/// What the campaign service works on.
struct CampaignPorts {
  CampaignApi& api;
  CampaignStore& campaigns;
  TaskStore& tasks;
  BlobStore& blobs;
  ImportStore& imports;
};

class CampaignService final : public user::v1::CampaignService::CallbackService {
 public:
  CampaignService(Calls& calls, CampaignPorts ports) : calls_(calls), ports_(ports) {}

  CAMBRIAN_UNARY(user::v1, ValidateCampaign, validate(request, response))
  CAMBRIAN_UNARY(user::v1, CreateCampaign, create(caller, request, response))
  CAMBRIAN_UNARY(user::v1, GetCampaign, get(request, response))
  CAMBRIAN_UNARY(user::v1, ListCampaigns, list(request, response))
  CAMBRIAN_UNARY(user::v1, PauseCampaign, act(caller, UserAction::pause, request, response))
  CAMBRIAN_UNARY(user::v1, ResumeCampaign, act(caller, UserAction::resume, request, response))
  CAMBRIAN_UNARY(user::v1, StopCampaign, act(caller, UserAction::stop, request, response))
  CAMBRIAN_UNARY(user::v1, HintCampaign, hint(caller, request, response))
  CAMBRIAN_UNARY(user::v1, DeleteCampaign, remove(caller, request, response))
  CAMBRIAN_UNARY(user::v1, ImportCampaign, import_campaign(request, response))
  grpc::ServerWriteReactor<user::v1::WatchEventsResponse>* WatchEvents(
      grpc::CallbackServerContext* context, const user::v1::WatchEventsRequest* request) override;

 private:
  using EventStream = WriteStream<user::v1::WatchEventsResponse>;
  /// A spec with every default, the task behind it and its seed.
  struct Resolved {
    spec::v1::CampaignSpec spec;
    spec::v1::TaskManifest task;
    SeedFacts seed;
    Problems problems;
  };

  // Pointers are gRPC's and live until Finish, which comes after the coroutine.
  awaitable<grpc::Status> validate(const user::v1::ValidateCampaignRequest* request,
                                   user::v1::ValidateCampaignResponse* response);
  awaitable<grpc::Status> create(Caller caller, const user::v1::CreateCampaignRequest* request,
                                 user::v1::CreateCampaignResponse* response);
  awaitable<grpc::Status> get(const user::v1::GetCampaignRequest* request,
                              user::v1::GetCampaignResponse* response);
  awaitable<grpc::Status> list(const user::v1::ListCampaignsRequest* request,
                               user::v1::ListCampaignsResponse* response);
  template <class Request, class Response>
  awaitable<grpc::Status> act(Caller caller, UserAction action, const Request* request,
                              Response* response);
  awaitable<grpc::Status> hint(Caller caller, const user::v1::HintCampaignRequest* request,
                               user::v1::HintCampaignResponse* response);
  awaitable<grpc::Status> remove(Caller caller, const user::v1::DeleteCampaignRequest* request,
                                 user::v1::DeleteCampaignResponse* response);
  awaitable<grpc::Status> import_campaign(const user::v1::ImportCampaignRequest* request,
                                          user::v1::ImportCampaignResponse* response);
  awaitable<grpc::Status> watch(Caller caller, user::v1::WatchEventsRequest request,
                                EventStream* stream);
  /// PERMISSION_DENIED for a campaign that the caller may not change.
  awaitable<grpc::Status> check_owner(Caller caller, std::string campaign);
  awaitable<Result<Resolved>> resolve(spec::v1::CampaignSpec spec);
  std::string waiting_of(const CampaignRecord& record) const;
  awaitable<Result<SeedFacts>> load_seed(spec::v1::TaskBundle bundle);

  Calls& calls_;
  CampaignPorts ports_;
};

}  // namespace cambrian::coordinator::wire
