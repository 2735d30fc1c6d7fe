#pragma once

#include <catch2/catch_test_macros.hpp>

#include "cambrian/user/v1/admin_service.grpc.pb.h"
#include "common/digest/token.hpp"
#include "common/rpc/channel.hpp"
#include "tests/integration/coordinator/fixture.hpp"
#include "tests/support/postgres.hpp"

namespace cambrian::test {

inline constexpr milliseconds kCallTimeout{20'000};

/// A call that every person may make.
inline grpc::Status list_campaigns(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kCallTimeout);
  user::v1::ListCampaignsResponse response;
  return user::v1::CampaignService::NewStub(channel)->ListCampaigns(&context, {}, &response);
}

/// A coordinator that requires tokens.
struct Guarded {
  std::string limits{};  ///< Lines of YAML.
  std::string database = PrivatePostgres::shared().make_database();
  std::string root = make_first_token(database);
  CoordinatorProcess coordinator{
      {.database = database, .more_config = "require_tokens: true\n" + limits}};

  std::shared_ptr<grpc::Channel> as(const std::string& token) const {
    return secure_channel(coordinator.address(), token);
  }

  grpc::Status create(const NewToken& token, const std::string& name, user::v1::Role role,
                      milliseconds lifetime = milliseconds(0)) const {
    user::v1::CreateTokenRequest request;
    request.set_id(token.id);
    request.set_sha256(token.sha256);
    request.set_name(name);
    request.set_role(role);
    if (lifetime.count() > 0) {
      request.mutable_lifetime()->set_seconds(lifetime.count() / 1000);
    }
    user::v1::CreateTokenResponse response;
    grpc::ClientContext context;
    rpc::set_deadline(context, kCallTimeout);
    return user::v1::AdminService::NewStub(as(root))->CreateToken(&context, request, &response);
  }

  /// A new token of this name.
  std::string make(const std::string& name, user::v1::Role role,
                   milliseconds lifetime = milliseconds(0)) const {
    const auto token = make_token();
    const auto status = create(token, name, role, lifetime);
    INFO(status.error_message());
    REQUIRE(status.ok());
    return token.text.reveal();
  }

  user::v1::RevokeTokenResponse revoke(const std::string& token) const {
    user::v1::RevokeTokenRequest request;
    request.set_token(token);
    user::v1::RevokeTokenResponse response;
    grpc::ClientContext context;
    rpc::set_deadline(context, kCallTimeout);
    REQUIRE(
        user::v1::AdminService::NewStub(as(root))->RevokeToken(&context, request, &response).ok());
    return response;
  }

  std::vector<user::v1::AuditEntry> audit(int page_size = 100) const {
    user::v1::ListAuditEntriesRequest request;
    request.set_page_size(page_size);
    std::vector<user::v1::AuditEntry> entries;
    do {
      user::v1::ListAuditEntriesResponse response;
      grpc::ClientContext context;
      rpc::set_deadline(context, kCallTimeout);
      REQUIRE(user::v1::AdminService::NewStub(as(root))
                  ->ListAuditEntries(&context, request, &response)
                  .ok());
      entries.insert(entries.end(), response.entries().begin(), response.entries().end());
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return entries;
  }
};

}  // namespace cambrian::test
