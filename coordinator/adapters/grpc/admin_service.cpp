#include "coordinator/adapters/grpc/admin_service.hpp"

#include <algorithm>

#include "common/digest/sha256.hpp"
#include "common/digest/token.hpp"
#include "common/task/names.hpp"
#include "coordinator/adapters/grpc/paging.hpp"

namespace cambrian::coordinator::wire {
namespace {

constexpr milliseconds kLifetimeMax = std::chrono::days(3'653);
constexpr std::size_t kIdDigits = 16;

user::v1::Role role_to_proto(Role role) {
  switch (role) {
    case Role::admin: return user::v1::ROLE_ADMIN;
    case Role::user: return user::v1::ROLE_USER;
    case Role::worker: return user::v1::ROLE_WORKER;
    case Role::codegen: return user::v1::ROLE_CODEGEN;
    case Role::viewer: return user::v1::ROLE_VIEWER;
  }
  return user::v1::ROLE_UNSPECIFIED;
}

bool is_id(const std::string& text) {
  return text.size() == kIdDigits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_expired(const TokenRecord& record) {
  return record.time_left && *record.time_left <= milliseconds(0);
}

void token_to_proto(const TokenRecord& record, user::v1::Token* message) {
  message->set_id(record.id);
  message->set_name(record.name);
  message->set_role(role_to_proto(record.role));
  to_proto(record.created_at, message->mutable_create_time());
  if (record.expires_at) to_proto(*record.expires_at, message->mutable_expire_time());
  if (record.last_used_at) to_proto(*record.last_used_at, message->mutable_last_use_time());
  if (record.revoked_at) to_proto(*record.revoked_at, message->mutable_revoke_time());
  message->set_is_expired(is_expired(record));
}

TokenDefinition definition_of(const user::v1::CreateTokenRequest& request, Problems& problems) {
  const auto require = [&](bool is_good, const char* field, const char* description) {
    if (!is_good) problems.push_back({field, description});
  };
  const auto role = role_from_proto(request.role());
  require(is_id(request.id()), "id", "must be 16 lower case hex digits");
  require(is_sha256_hex(request.sha256()), "sha256", "must be 64 lower case hex digits");
  require(task::is_resource_name(request.name()), "name",
          "must be lower case letters, digits and dashes, at most 63");
  require(role.has_value(), "role", "must be admin, user, worker, codegen or viewer");
  TokenDefinition definition{.id = request.id(),
                             .name = request.name(),
                             .role = role.value_or(Role::viewer),
                             .sha256 = request.sha256(),
                             .lifetime = {}};
  if (request.has_lifetime()) {
    definition.lifetime = from_proto(request.lifetime());
    require(*definition.lifetime > milliseconds(0) && *definition.lifetime <= kLifetimeMax,
            "lifetime", "must be positive and at most 10 years");
  }
  return definition;
}

}  // namespace

awaitable<grpc::Status> AdminService::create(const user::v1::CreateTokenRequest* request,
                                             user::v1::CreateTokenResponse* response) {
  Problems problems;
  auto definition = definition_of(*request, problems);
  if (!problems.empty()) co_return status_of(problems);
  const auto record = co_await ports_.tokens.create(std::move(definition));
  if (!record) co_return status_of(record.error());
  token_to_proto(*record, response->mutable_token());
  co_await ports_.access.refresh();
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> AdminService::list(const user::v1::ListTokensRequest* request,
                                           user::v1::ListTokensResponse* response) {
  const auto records = co_await ports_.tokens.list();
  if (!records) co_return status_of(records.error());
  for (const auto& record : *records) {
    if (!request->with_ended() && (record.revoked_at || is_expired(record))) continue;
    token_to_proto(record, response->add_tokens());
  }
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> AdminService::revoke(const user::v1::RevokeTokenRequest* request,
                                             user::v1::RevokeTokenResponse* response) {
  // Who found a token somewhere has the whole of it.
  const auto text = clean_text(request->token(), kNameMax);
  const auto records = co_await ports_.tokens.revoke(token_id(text).value_or(text));
  if (!records) co_return status_of(records.error());
  for (const auto& record : *records) token_to_proto(record, response->add_tokens());
  co_await ports_.access.refresh();
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> AdminService::audit(const user::v1::ListAuditEntriesRequest* request,
                                            user::v1::ListAuditEntriesResponse* response) {
  const auto page = page_of(*request);
  if (!page) co_return status_of(page.error());
  const auto records = co_await ports_.audit.list(page->token, page->size);
  if (!records) co_return status_of(records.error());
  for (const auto& record : *records) {
    auto* added = response->add_entries();
    added->set_id(record.id);
    to_proto(record.created_at, added->mutable_create_time());
    added->set_who(record.entry.caller.name);
    added->set_role(role_to_proto(record.entry.caller.role));
    added->set_token_id(record.entry.caller.token_id);
    added->set_peer(record.entry.peer);
    added->set_method(record.entry.method);
    added->set_object(record.entry.object);
    added->set_outcome(record.outcome);
  }
  if (has_next_page(records->size(), records->size(), *page)) {
    response->set_next_page_token(std::to_string(records->back().id));
  }
  co_return grpc::Status::OK;
}

awaitable<grpc::Status> AdminService::disown(const user::v1::DisownResultsRequest* request,
                                             user::v1::DisownResultsResponse* response) {
  if (request->reason().empty()) {
    co_return status_of(Problems{{"reason", "must be set: the audit log keeps it"}});
  }
  const auto results = co_await ports_.cleanup.disown_results();
  if (!results) co_return status_of(results.error());
  response->set_results(*results);
  co_return grpc::Status::OK;
}

}  // namespace cambrian::coordinator::wire
