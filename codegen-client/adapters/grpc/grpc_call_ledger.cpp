#include "codegen-client/adapters/grpc/grpc_call_ledger.hpp"

#include <algorithm>

#include "codegen-client/adapters/grpc/convert.hpp"
#include "common/failpoint/failpoint.hpp"
#include "common/log/log.hpp"
#include "common/rpc/backoff.hpp"
#include "common/rpc/channel.hpp"
#include "common/rpc/status.hpp"

namespace cambrian::codegen {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kBeginTimeout{15};
// The report of the proposal says everything again: an answer is not held up for this.
constexpr std::chrono::seconds kEndTimeout{3};
// So that clients do not come back in step.
constexpr double kWaitSpread = 0.2;

agent::v1::BeginCallRequest make_request(const CallIntent& intent) {
  agent::v1::BeginCallRequest request;
  auto& call = *request.mutable_call();
  call.set_model(intent.model);
  call.set_endpoint(intent.endpoint);
  call.set_prompt_digest(intent.prompt_digest);
  call.set_prompt_tokens(intent.prompt_tokens);
  call.set_completion_tokens(intent.output_tokens);
  call.set_cost_micro_usd(intent.cost_micro_usd);
  auto& limits = *request.mutable_limits();
  limits.set_group(intent.limits.group);
  limits.set_requests_per_minute(intent.limits.requests_per_minute);
  limits.set_tokens_per_minute(intent.limits.tokens_per_minute);
  limits.set_parallel(intent.limits.parallel);
  return request;
}

Error too_long(const grpc::Status& status, const CallIntent& intent) {
  if (status.ok()) {
    return {Errc::exhausted, "waited too long for the limits that clients share: endpoint=" +
                                 intent.endpoint + " group=" + intent.limits.group};
  }
  return {Errc::unavailable, "the call cannot be put on record: " + status.error_message()};
}

}  // namespace

Result<int> GrpcCallLedger::begin(const CallIntent& intent, std::stop_token stop) {
  tell_ends();
  const int number = note_begin();
  auto begun = ask(number, intent, std::move(stop));
  if (!begun) note_end(std::nullopt);
  CAMBRIAN_FAILPOINT("call", "on_record");
  return begun;
}

int GrpcCallLedger::note_begin() {
  const std::lock_guard lock(mutex_);
  ++running_;
  return ++numbers_;
}

void GrpcCallLedger::note_end(std::optional<agent::v1::EndCallRequest> last) {
  const std::lock_guard lock(mutex_);
  --running_;
  if (last) untold_.push_back(std::move(*last));
}

Result<int> GrpcCallLedger::ask(int number, const CallIntent& intent, std::stop_token stop) {
  if (!is_supported_) return number;
  auto request = make_request(intent);
  request.set_agent_id(agent_id_);
  *request.mutable_lease() = lease_;
  request.set_number(number);
  const auto seed = static_cast<std::uint64_t>(lease_.item_id()) + static_cast<unsigned>(number);
  Rng rng(seed);
  rpc::Backoff backoff(seed);
  const auto give_up = SteadyClock::now() + kPatience;
  while (!stop.stop_requested()) {
    grpc::ClientContext context;
    rpc::set_deadline(context, kBeginTimeout);
    agent::v1::BeginCallResponse response;
    const auto status = stub_.BeginCall(&context, request, &response);
    const milliseconds wait = to_milliseconds(response.wait());
    if (status.ok() && wait <= milliseconds(0)) return number;
    if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
      is_supported_ = false;
      log::warn("calls_not_on_record", {{"next", "the coordinator is older than this client"}});
      return number;
    }
    if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
      return fail(Errc::cancelled, "the proposal is no longer ours: " + status.error_message());
    }
    if (!status.ok() && !rpc::is_retryable(status.error_code())) {
      return fail(Errc::unavailable, "the call was refused: " + status.error_message());
    }
    auto pause = status.ok()
                     ? wait + milliseconds(static_cast<std::int64_t>(
                                  static_cast<double>(wait.count()) * kWaitSpread * rng.uniform()))
                     : rpc::details_of(status).retry_delay.value_or(backoff.next());
    const auto left = std::chrono::duration_cast<milliseconds>(give_up - SteadyClock::now());
    if (left <= milliseconds(0)) return fail(too_long(status, intent));
    if (!rpc::wait_unless_stopped(stop, std::min(pause, left))) break;
  }
  return fail(Errc::cancelled, "stopped before it was sent");
}

void GrpcCallLedger::end(int number, const CallRecord& record, std::optional<milliseconds> pause) {
  if (!is_supported_) return;
  CAMBRIAN_FAILPOINT("call", "answered");
  agent::v1::EndCallRequest request;
  request.set_agent_id(agent_id_);
  *request.mutable_lease() = lease_;
  request.set_number(number);
  to_proto(record, *request.mutable_call());
  if (pause) to_proto(*pause, *request.mutable_pause());
  note_end(std::move(request));
  // Of the last one the report tells, which is about to be made.
  const bool has_failed = record.finish_reason == "error";
  if (has_failed || pause || is_any_running()) tell_ends();
}

bool GrpcCallLedger::is_any_running() const {
  const std::lock_guard lock(mutex_);
  return running_ > 0;
}

void GrpcCallLedger::tell_ends() {
  std::vector<agent::v1::EndCallRequest> untold;
  {
    const std::lock_guard lock(mutex_);
    untold.swap(untold_);
  }
  for (const auto& request : untold) tell_end(request);
}

void GrpcCallLedger::tell_end(const agent::v1::EndCallRequest& request) {
  grpc::ClientContext context;
  rpc::set_deadline(context, kEndTimeout);
  agent::v1::EndCallResponse response;
  const auto status = stub_.EndCall(&context, request, &response);
  if (!status.ok()) log::warn("call_end_not_noted", {{"cause", status.error_message()}});
}

}  // namespace cambrian::codegen
