#include "codegen-client/app/endpoint.hpp"

#include <algorithm>

#include "codegen-client/domain/retry.hpp"
#include "codegen-client/domain/text.hpp"
#include "common/digest/sha256.hpp"
#include "common/log/log.hpp"

namespace cambrian::codegen {
namespace {

/// Runs a function when it goes.
template <class Function>
class AtEnd {
 public:
  explicit AtEnd(Function function) : function_(std::move(function)) {}
  ~AtEnd() { function_(); }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  Function function_;
};

CallFailure cancelled() {
  return {.kind = FailureKind::cancelled, .message = "stopped before it was sent"};
}

std::string digest_of(const std::vector<Message>& messages) {
  KeyDigest key;
  for (const Message& message : messages) key.add(to_string(message.role), message.content);
  return key.finish_hex();
}

const CallFailure* failure_of(const Sending& sending) {
  return std::get_if<CallFailure>(&sending.outcome);
}

bool is_not_sent(const Sending& sending) {
  const CallFailure* failure = failure_of(sending);
  return failure != nullptr && failure->kind == FailureKind::not_sent;
}

/// True for failures that speak against the endpoint, not against the request.
bool is_fault_of_endpoint(FailureKind kind) {
  return kind == FailureKind::server || kind == FailureKind::connect ||
         kind == FailureKind::timed_out || kind == FailureKind::cut ||
         kind == FailureKind::malformed || kind == FailureKind::unauthorized ||
         kind == FailureKind::no_quota;
}

/// The failure of a call that was not sent because it is not on record.
CallFailure unrecorded(const Error& error) {
  const bool is_stopped = error.code == Errc::cancelled;
  return {.kind = is_stopped ? FailureKind::cancelled : FailureKind::not_sent,
          .message = error.message,
          .should_retry = false};
}

/// Why the call failed, when there was no room to send it again.
CallFailure not_sent_again(CallFailure before, const CallFailure& refusal) {
  constexpr std::size_t kCauseBytes = 300;
  constexpr std::size_t kMessageBytes = 512;
  before.message =
      to_one_line(to_one_line(before.message, kCauseBytes) + "; not sent again: " + refusal.message,
                  kMessageBytes);
  return before;
}

/// What the answer took; estimated where the server does not count.
TokenUsage used_by(const ChatReply& reply, std::int64_t prompt_estimate) {
  TokenUsage usage = reply.usage.value_or(TokenUsage{});
  if (usage.prompt_tokens == 0) usage.prompt_tokens = prompt_estimate;
  if (usage.completion_tokens == 0) {
    usage.completion_tokens = estimate_tokens(reply.content) + estimate_tokens(reply.refusal) +
                              estimate_thought_tokens(reply.thought_bytes);
  }
  return usage;
}

/// A server that drops a part of the prompt answers another question than was asked.
void check_prompt(Sending& sending, std::int64_t estimate) {
  const auto* reply = std::get_if<ChatReply>(&sending.outcome);
  if (reply == nullptr || !reply->usage) return;
  const std::int64_t counted = reply->usage->prompt_tokens;
  if (is_prompt_complete(estimate, counted)) return;
  sending.outcome =
      CallFailure{.kind = FailureKind::prompt_cut,
                  .status = 200,
                  .message =
                      "the server read a part of the prompt only; raise the context length of the "
                      "server, or lower context_tokens: counted=" +
                      std::to_string(counted) + " estimate=" + std::to_string(estimate)};
}

}  // namespace

Endpoint::Endpoint(EndpointSettings settings, ChatModel& model, Clock& clock, Observer& observer,
                   std::uint64_t seed)
    : settings_(std::move(settings)),
      model_(model),
      clock_(clock),
      observer_(observer),
      concurrency_(std::clamp(settings_.parallel, 1, kParallelMax)),
      limiter_(settings_.requests_per_minute, settings_.tokens_per_minute),
      rng_(seed) {}

bool Endpoint::offers(std::string_view model) const {
  const auto& models = settings_.models;
  return std::find(models.begin(), models.end(), model) != models.end();
}

std::int64_t Endpoint::context_tokens() const {
  return std::min(settings_.context_tokens,
                  model_.context_tokens().value_or(settings_.context_tokens));
}

bool Endpoint::is_available() {
  const std::lock_guard lock(mutex_);
  const SteadyTime now = clock_.now();
  return !breaker_.is_open(now) && limiter_.pause_left(now) <= kRetryAfterMax;
}

std::int64_t Endpoint::cost_max(std::int64_t prompt_tokens, std::int64_t output_tokens) const {
  return cost_micro_usd({.prompt_tokens = prompt_tokens, .completion_tokens = output_tokens},
                        settings_.prices);
}

bool Endpoint::take_slot(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const bool has_room =
      slot_freed_.wait(lock, std::move(stop), [this] { return concurrency_.has_room(); });
  if (has_room) concurrency_.enter();
  return has_room;
}

void Endpoint::leave_slot() {
  const std::lock_guard lock(mutex_);
  concurrency_.leave();
  // All: the limit may have risen, and whoever was stopped takes no place.
  slot_freed_.notify_all();
}

std::optional<CallFailure> Endpoint::enter(std::int64_t tokens, std::stop_token stop) {
  const SteadyTime start = clock_.now();
  for (;;) {
    const SteadyTime now = clock_.now();
    std::chrono::nanoseconds wait{};
    bool is_open = false;
    {
      const std::lock_guard lock(mutex_);
      wait = limiter_.wait_for(tokens, now);
      if (wait <= wait.zero()) {
        wait = breaker_.enter(now);
        is_open = wait > wait.zero();
      }
      if (wait <= wait.zero()) {
        limiter_.take(tokens);
        return std::nullopt;
      }
    }
    if (is_open && now - start >= kCircuitWaitMax) {
      return CallFailure{
          .kind = FailureKind::circuit_open,
          .message = "the endpoint has failed too often in a row: endpoint=" + settings_.name};
    }
    if (!is_open && now - start >= kLimitWaitMax) {
      return CallFailure{
          .kind = FailureKind::not_sent,
          .message = "waited too long for the rate limit: endpoint=" + settings_.name,
          .should_retry = false};
    }
    const auto longest = is_open ? std::chrono::nanoseconds(kCircuitWaitMax)
                                 : std::chrono::nanoseconds(kLimitWaitMax);
    if (!clock_.wait(std::min(wait, start + longest - now), stop)) return cancelled();
  }
}

Result<int> Endpoint::put_on_record(const Outgoing& outgoing, CallLedger& ledger,
                                    std::stop_token stop) {
  const ChatRequest& request = outgoing.request;
  return ledger.begin({.model = request.model,
                       .endpoint = settings_.name,
                       .prompt_digest = outgoing.prompt_digest,
                       .prompt_tokens = outgoing.prompt_estimate,
                       .output_tokens = request.output_tokens,
                       .cost_micro_usd = cost_max(outgoing.prompt_estimate, request.output_tokens),
                       .limits = {.group = settings_.limit_group,
                                  .requests_per_minute = settings_.requests_per_minute,
                                  .tokens_per_minute = settings_.tokens_per_minute,
                                  .parallel = settings_.parallel_shared}},
                      std::move(stop));
}

Sending Endpoint::send_once(const Outgoing& outgoing, CallLedger& ledger, std::stop_token stop) {
  const std::int64_t estimate = outgoing.prompt_estimate;
  const std::int64_t reserved = estimate + outgoing.request.output_tokens;
  if (auto failure = enter(reserved, stop)) {
    return {.outcome = std::move(*failure), .was_sent = false};
  }
  const auto number = put_on_record(outgoing, ledger, stop);
  if (!number) {
    const std::lock_guard lock(mutex_);
    limiter_.settle(reserved, 0);
    breaker_.report_nothing();
    return {.outcome = unrecorded(number.error()), .was_sent = false};
  }
  const SteadyTime sent = clock_.now();
  Sending sending = model_.send(outgoing.request, stop);
  settle(sending, estimate, reserved, sent);
  const CallRecord record = record_of(sending, outgoing);
  const CallFailure* failure = failure_of(sending);
  const bool is_limited = failure != nullptr && failure->kind == FailureKind::rate_limited;
  ledger.end(*number, record, is_limited ? failure->retry_after : std::nullopt);
  return sending;
}

void Endpoint::settle(const Sending& sending, std::int64_t prompt_estimate, std::int64_t reserved,
                      SteadyTime sent) {
  const auto* reply = std::get_if<ChatReply>(&sending.outcome);
  const CallFailure* failure = failure_of(sending);
  const std::lock_guard lock(mutex_);
  if (reply != nullptr) {
    const TokenUsage usage = used_by(*reply, prompt_estimate);
    limiter_.settle(reserved, usage.prompt_tokens + usage.completion_tokens);
  } else if (failure->kind == FailureKind::connect) {
    limiter_.settle(reserved, 0);  // Other failures count at providers as what was asked for.
  }
  if (reply != nullptr) concurrency_.report_success();
  if (failure != nullptr && failure->kind == FailureKind::rate_limited) {
    concurrency_.report_rate_limited(sent, clock_.now());
  }
  if (failure != nullptr && failure->kind == FailureKind::cancelled) {
    breaker_.report_nothing();
  } else if (failure != nullptr && is_fault_of_endpoint(failure->kind)) {
    if (!breaker_.report_failure(clock_.now())) return;
    observer_.availability_changed(settings_.name, false);
    log::error("endpoint_circuit_opened",
               {{"endpoint", settings_.name}, {"cause", failure->message}});
  } else {
    breaker_.report_success();
    observer_.availability_changed(settings_.name, true);
  }
}

CallRecord Endpoint::record_of(const Sending& sending, const Outgoing& outgoing) const {
  CallRecord record{.model = outgoing.request.model, .endpoint = settings_.name};
  record.retries = outgoing.retries;
  record.prompt_digest = outgoing.prompt_digest;
  account(sending, outgoing, record);
  return record;
}

void Endpoint::account(const Sending& sending, const Outgoing& outgoing, CallRecord& record) const {
  const std::int64_t prompt_estimate = outgoing.prompt_estimate;
  record.latency = sending.latency;
  record.time_to_first_token = sending.time_to_first_token;
  if (!sending.request_id.empty()) record.request_id = sending.request_id;
  TokenUsage usage;
  if (const auto* reply = std::get_if<ChatReply>(&sending.outcome)) {
    if (!reply->model.empty()) record.model = reply->model;
    record.finish_reason = to_string(reply->finish_reason);
    usage = used_by(*reply, prompt_estimate);
  } else {
    record.finish_reason = "error";
    const CallFailure& failure = *failure_of(sending);
    if (sending.was_sent && failure.is_outcome_unknown()) {
      record.is_outcome_unknown = true;
      // Charged, as far as we know: without a stream it may have been the whole answer.
      usage.prompt_tokens = prompt_estimate;
      usage.completion_tokens =
          sending.was_streamed ? failure.completion_tokens : outgoing.request.output_tokens;
    }
  }
  record.usage.prompt_tokens += usage.prompt_tokens;
  record.usage.completion_tokens += usage.completion_tokens;
  record.usage.cached_prompt_tokens += usage.cached_prompt_tokens;
  record.usage.reasoning_tokens += usage.reasoning_tokens;
  record.cost_micro_usd = cost_micro_usd(record.usage, settings_.prices);
}

std::optional<std::chrono::milliseconds> Endpoint::plan_retry(const CallFailure& failure,
                                                              int retries_done) {
  const std::lock_guard lock(mutex_);
  const auto delay = retry_delay(failure, retries_done, settings_.retries, rng_);
  if (failure.kind != FailureKind::rate_limited) return delay;
  // Even when this request is given up: the others meet the same limit.
  const Milliseconds pause =
      std::max(delay.value_or(Milliseconds(0)), failure.retry_after.value_or(Milliseconds(0)));
  limiter_.pause_until(clock_.now() + std::min<Milliseconds>(pause, kPauseMax));
  return delay;
}

Call Endpoint::call(const ChatRequest& request, CallLedger& ledger, std::stop_token stop) {
  Call call{.outcome = cancelled()};
  call.record.endpoint = settings_.name;
  call.record.model = request.model;
  call.record.prompt_digest = digest_of(request.messages);
  call.record.finish_reason = "error";
  const std::int64_t estimate = estimate_tokens(request.messages);
  Outgoing outgoing{
      .request = request, .prompt_estimate = estimate, .prompt_digest = call.record.prompt_digest};
  const bool has_slot = take_slot(stop);
  const AtEnd leave([this, has_slot] {
    if (has_slot) leave_slot();
  });
  while (has_slot) {
    Sending sending = send_once(outgoing, ledger, stop);
    CallRecord alone = record_of(sending, outgoing);
    const bool has_no_room = outgoing.retries > 0 && is_not_sent(sending);
    if (!has_no_room) account(sending, outgoing, call.record);
    check_prompt(sending, estimate);
    const CallFailure* failure = failure_of(sending);
    if (failure != nullptr) alone.finish_reason = "error";
    observer_.sending_finished(request.model, alone,
                               failure == nullptr ? std::nullopt : std::optional(failure->kind));
    if (has_no_room) {
      call.outcome = not_sent_again(std::get<CallFailure>(std::move(call.outcome)), *failure);
      break;
    }
    call.record.retries = outgoing.retries;
    const auto delay = failure == nullptr ? std::nullopt : plan_retry(*failure, outgoing.retries);
    call.outcome = std::move(sending.outcome);
    if (!delay || !clock_.wait(*delay, stop)) break;
    ++outgoing.retries;
  }
  if (std::holds_alternative<CallFailure>(call.outcome)) call.record.finish_reason = "error";
  return call;
}

}  // namespace cambrian::codegen
