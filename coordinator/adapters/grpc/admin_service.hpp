#pragma once

#include "cambrian/user/v1/admin_service.grpc.pb.h"
#include "coordinator/adapters/grpc/calls.hpp"
#include "coordinator/ports/cleanup_store.hpp"

namespace cambrian::coordinator::wire {

/// What the admin service works on.
struct AdminPorts {
  TokenStore& tokens;
  AuditStore& audit;
  AccessApi& access;
  CleanupStore& cleanup;
};

class AdminService final : public user::v1::AdminService::CallbackService {
 public:
  AdminService(Calls& calls, AdminPorts ports) : calls_(calls), ports_(ports) {}

  CAMBRIAN_UNARY(user::v1, CreateToken, create(request, response))
  CAMBRIAN_UNARY(user::v1, ListTokens, list(request, response))
  CAMBRIAN_UNARY(user::v1, RevokeToken, revoke(request, response))
  CAMBRIAN_UNARY(user::v1, ListAuditEntries, audit(request, response))
  CAMBRIAN_UNARY(user::v1, DisownResults, disown(request, response))

 private:
  // Pointers are gRPC's and live until Finish, which comes after the coroutine.
  awaitable<grpc::Status> create(const user::v1::CreateTokenRequest* request,
                                 user::v1::CreateTokenResponse* response);
  awaitable<grpc::Status> list(const user::v1::ListTokensRequest* request,
                               user::v1::ListTokensResponse* response);
  awaitable<grpc::Status> revoke(const user::v1::RevokeTokenRequest* request,
                                 user::v1::RevokeTokenResponse* response);
  awaitable<grpc::Status> audit(const user::v1::ListAuditEntriesRequest* request,
                                user::v1::ListAuditEntriesResponse* response);
  awaitable<grpc::Status> disown(const user::v1::DisownResultsRequest* request,
                                 user::v1::DisownResultsResponse* response);

  Calls& calls_;
  AdminPorts ports_;
};

}  // namespace cambrian::coordinator::wire
