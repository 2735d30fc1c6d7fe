#include "coordinator/adapters/grpc/calls.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>

#include "common/digest/token.hpp"
#include "common/log/log.hpp"
#include "common/rpc/status.hpp"
#include "coordinator/adapters/grpc/access_table.hpp"
#include "coordinator/ports/words.hpp"

namespace cambrian::coordinator::wire {
namespace {

constexpr milliseconds kRetryDelay{1'000};

std::string name_of(grpc::StatusCode code) {
  static constexpr std::array<const char*, 17> kNames = {"OK",
                                                         "CANCELLED",
                                                         "UNKNOWN",
                                                         "INVALID_ARGUMENT",
                                                         "DEADLINE_EXCEEDED",
                                                         "NOT_FOUND",
                                                         "ALREADY_EXISTS",
                                                         "PERMISSION_DENIED",
                                                         "RESOURCE_EXHAUSTED",
                                                         "FAILED_PRECONDITION",
                                                         "ABORTED",
                                                         "OUT_OF_RANGE",
                                                         "UNIMPLEMENTED",
                                                         "INTERNAL",
                                                         "UNAVAILABLE",
                                                         "DATA_LOSS",
                                                         "UNAUTHENTICATED"};
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "UNKNOWN";
}

constexpr std::size_t kHeaderBytesMax = 512;
constexpr std::size_t kObjectBytesMax = 256;
/// Refused changes of one token that get an entry.
constexpr int kRefusedMax = 20;
constexpr std::chrono::minutes kRefusedTime{1};
constexpr const char* kRoleNotAllowed = "ROLE_NOT_ALLOWED";
constexpr const char* kRoleReason = "role";
constexpr const char* kRateReason = "rate";
constexpr const char* kNotYours = "NOT_YOURS";

/// What to say of a token, and what to do next.
struct Complaint {
  const char* reason;
  const char* message;
  const char* next;
};

Complaint complaint_of(TokenProblem problem) {
  constexpr const char* kNewOne = "ask an administrator for one: cambrian admin token create";
  switch (problem) {
    case TokenProblem::none:
    case TokenProblem::missing:
      return {"TOKEN_MISSING", "this coordinator requires a token",
              "set token_file in the configuration or the context, or CAMBRIAN_TOKEN in the "
              "environment"};
    case TokenProblem::malformed:
      return {"TOKEN_MALFORMED", "the authorization header holds no token of Cambrian",
              "send `authorization: Bearer cbt_...`"};
    case TokenProblem::unknown:
      return {"TOKEN_UNKNOWN", "this coordinator does not know the token", kNewOne};
    case TokenProblem::expired: return {"TOKEN_EXPIRED", "the token has expired", kNewOne};
    case TokenProblem::revoked: return {"TOKEN_REVOKED", "the token was revoked", kNewOne};
  }
  return {"TOKEN_UNKNOWN", "the token is not good", kNewOne};
}

grpc::Status not_identified(const Identity& identity, const std::string& method) {
  const auto complaint = complaint_of(identity.problem);
  rpc::Details details;
  details.reason = complaint.reason;
  details.metadata = {{"method", method}, {"next", complaint.next}};
  std::string message = std::string(complaint.message) + "; " + complaint.next;
  if (!identity.caller.token_id.empty()) message += ": token=" + identity.caller.token_id;
  return rpc::to_refusal(grpc::StatusCode::UNAUTHENTICATED, message, details);
}

grpc::Status denied(const char* reason, const Caller& caller, const std::string& message,
                    std::map<std::string, std::string> metadata) {
  rpc::Details details;
  details.reason = reason;
  details.metadata = std::move(metadata);
  details.metadata["role"] = word(caller.role);
  details.metadata["name"] = caller.name;
  return rpc::to_refusal(grpc::StatusCode::PERMISSION_DENIED, message, details);
}

grpc::Status role_not_allowed(const Caller& caller, const std::string& method,
                              const Access* access) {
  const auto roles = access == nullptr ? std::string("nobody") : roles_text(*access);
  return denied(kRoleNotAllowed, caller,
                "the token's role may not call this; use a token of a role that may: method=" +
                    method + " role=" + word(caller.role) + " allowed=" + roles,
                {{"method", method}, {"allowed", roles}});
}

}  // namespace

std::string audit_text(std::string text) {
  // Masked before it is cut: a half of a token is not known as one.
  text.resize(std::min(text.size(), 8 * kObjectBytesMax));
  return clean_text(mask_tokens(std::move(text)), kObjectBytesMax);
}

Arrival arrival_of(const grpc::CallbackServerContext& context, const char* method,
                   std::string object) {
  constexpr std::string_view kScheme = "Bearer ";
  Arrival arrival{
      .method = method, .token = {}, .peer = context.peer(), .object = std::move(object)};
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  if (found == metadata.end()) return arrival;
  const std::string_view header(found->second.data(),
                                std::min(found->second.size(), kHeaderBytesMax));
  // Another scheme is no token of ours either, and must not count as none.
  arrival.token = Secret(std::string(header.starts_with(kScheme) ? header.substr(kScheme.size())
                                                                 : std::string_view("other")));
  return arrival;
}

Calls::Calls(boost::asio::any_io_executor executor, metrics::Registry& registry, AccessApi& access,
             AuditStore& audit, int calls_per_second)
    : executor_(std::move(executor)),
      registry_(registry),
      access_(access),
      audit_(audit),
      limit_(calls_per_second) {
  // Known from the start: a rate of the first refusal needs the zero before it.
  for (const auto problem : {TokenProblem::missing, TokenProblem::malformed, TokenProblem::unknown,
                             TokenProblem::expired, TokenProblem::revoked}) {
    refusals(word(problem));
  }
  refusals(kRoleReason);
  refusals(kRateReason);
}

awaitable<Admission> Calls::admit(Arrival arrival) {
  Admission admission;
  const std::string method = arrival.method;
  const auto identity = co_await access_.identify(std::move(arrival.token));
  if (!identity) {
    admission.refusal = status_of(identity.error());
    co_return admission;
  }
  if (identity->problem != TokenProblem::none) {
    refusals(word(identity->problem)).add();
    admission.refusal = not_identified(*identity, method);
    co_return admission;
  }
  admission.caller = identity->caller;
  admission.refusal = check_rate(admission.caller, method);
  if (!admission.refusal.ok()) co_return admission;
  const auto* access = find_access(method);
  const bool is_allowed_to = access != nullptr && is_allowed(*access, admission.caller.role);
  if (!is_allowed_to) {
    refusals(kRoleReason).add();
    admission.refusal = role_not_allowed(admission.caller, method, access);
  }
  if (access == nullptr || !access->is_change) co_return admission;
  if (!is_allowed_to && !is_worth_an_entry(admission.caller)) co_return admission;
  AuditEntry entry{.caller = admission.caller,
                   .peer = clean_text(arrival.peer, kHeaderBytesMax),
                   .method = method,
                   .object = arrival.object};
  const auto id = co_await audit_.add(
      std::move(entry), is_allowed_to ? kAuditBegun : name_of(admission.refusal.error_code()));
  // Nothing is changed without an entry.
  if (!id && is_allowed_to) admission.refusal = status_of(id.error());
  if (id && is_allowed_to) admission.audit_entry = *id;
  co_return admission;
}

grpc::Status Calls::check_rate(const Caller& caller, const std::string& method) {
  const bool is_agent = caller.role == Role::worker || caller.role == Role::codegen;
  if (is_agent || caller.token_id.empty()) return grpc::Status::OK;
  const auto wait = limit_.take(caller.token_id, std::chrono::steady_clock::now());
  if (!wait) return grpc::Status::OK;
  refusals(kRateReason).add();
  rpc::Details details;
  details.reason = rpc::kTooManyCalls;
  details.retry_delay = *wait;
  details.metadata = {{"method", method}, {"name", caller.name}};
  return rpc::to_refusal(grpc::StatusCode::RESOURCE_EXHAUSTED,
                         "too many calls with this token; make fewer, or ask whoever runs the "
                         "coordinator for more (calls_per_second): token=" +
                             caller.token_id,
                         details);
}

bool Calls::is_worth_an_entry(const Caller& caller) {
  const auto now = std::chrono::steady_clock::now();
  auto& refused = refused_[caller.token_id];
  if (now - refused.since > kRefusedTime) refused = {.since = now};
  return ++refused.count <= kRefusedMax;
}

awaitable<void> Calls::note_outcome(std::int64_t audit_entry, grpc::StatusCode code) {
  const auto status = co_await audit_.set_outcome(audit_entry, name_of(code));
  if (!status) {
    log::warn(
        "audit_outcome_not_noted",
        {{"entry", audit_entry}, {"outcome", name_of(code)}, {"reason", status.error().message}});
  }
}

metrics::Counter Calls::refusals(const std::string& reason) {
  return registry_.counter(
      "cambrian_coordinator_calls_refused_total",
      "Calls that were refused because of who made them, or how many that one makes",
      {{"reason", reason}});
}

grpc::Status Calls::check_again(const Caller& caller, const char* method) const {
  const auto problem = access_.problem_of(caller);
  if (problem == TokenProblem::none) return grpc::Status::OK;
  return not_identified({problem, caller}, method);
}

grpc::Status not_yours(const Caller& caller, const std::string& campaign,
                       const std::string& owner) {
  const auto whose =
      owner.empty() ? std::string("nobody, only administrators may change it") : owner;
  return denied(kNotYours, caller,
                "you may change campaigns of your own only; ask its owner or an administrator: "
                "campaign=" +
                    campaign + " owner=" + whose,
                {{"campaign", campaign}, {"owner", owner}});
}

grpc::Status not_for_role(const Caller& caller, const std::string& what) {
  return denied(kRoleNotAllowed, caller,
                what + ": role=" + word(caller.role) + "; use a token of the other role", {});
}

awaitable<grpc::Status> Calls::counted(const char* method, awaitable<grpc::Status> handler) {
  const auto begin = std::chrono::steady_clock::now();
  auto status = co_await std::move(handler);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  registry_
      .histogram("cambrian_coordinator_rpc_duration_seconds",
                 "Time to answer a call, waits for work included", metrics::duration_buckets(),
                 {{"method", method}, {"code", name_of(status.error_code())}})
      .observe(time.count());
  co_return status;
}

grpc::Status status_of(const Error& error) {
  rpc::Details details;
  if (error.code == Errc::unavailable || error.code == Errc::exhausted ||
      error.code == Errc::outcome_unknown || error.code == Errc::deadline_exceeded) {
    details.retry_delay = kRetryDelay;
  }
  return rpc::to_status(error, details);
}

grpc::Status status_of(const Problems& problems) {
  rpc::Details details;
  details.field_violations = problems;
  std::string message = "invalid request";
  for (const auto& problem : problems) {
    message += "; " + problem.field + ": " + problem.description;
    if (message.size() > 1024) break;
  }
  return rpc::to_status({Errc::invalid_argument, message}, details);
}

}  // namespace cambrian::coordinator::wire
