#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "codegen-client/domain/chat.hpp"
#include "codegen-client/domain/circuit_breaker.hpp"
#include "codegen-client/domain/concurrency_limit.hpp"
#include "codegen-client/domain/proposal.hpp"
#include "codegen-client/domain/rate_limiter.hpp"
#include "codegen-client/domain/tokens.hpp"
#include "codegen-client/ports/call_ledger.hpp"
#include "codegen-client/ports/chat_model.hpp"
#include "codegen-client/ports/clock.hpp"
#include "codegen-client/ports/observer.hpp"
#include "common/base/rng.hpp"

namespace cambrian::codegen {

struct EndpointSettings {
  std::string name{};
  std::vector<std::string> models{};
  int parallel = 8;  ///< Most calls at once, 1 to kParallelMax; fewer after a 429.
  int retries = 2;
  double requests_per_minute = 0;  ///< 0: no limit.
  double tokens_per_minute = 0;    ///< 0: no limit.
  Prices prices{};
  std::int64_t context_tokens = 32'768;  ///< Prompt and answer together.
  std::string limit_group{};             ///< Who shares the limits with us. Empty: nobody.
  int parallel_shared = 0;               ///< Most calls at once of all of them. 0: no such limit.
};

/// One call, with everything that was done for it.
struct Call {
  std::variant<ChatReply, CallFailure> outcome;
  CallRecord record{};  ///< `answer_digest` is the caller's to fill in.
};

/// One endpoint with its limits: calls at once, requests and tokens a minute, a circuit breaker,
/// retries, and the check that the server read the whole prompt. What clients share of the limits
/// is kept by the ledger; the limits here hold besides, and spare it questions. Blocking; any
/// thread; holds its shared state behind one mutex, never while it waits.
class Endpoint {
 public:
  static constexpr int kParallelMax = 256;
  /// Longest wait for an open circuit: the proposal then ends as our failure, and the coordinator
  /// may give it to somebody else.
  static constexpr std::chrono::seconds kCircuitWaitMax{30};
  /// Longest wait for the rate limit.
  static constexpr std::chrono::minutes kLimitWaitMax{5};
  /// Longest time that a server may keep all of us away by its Retry-After.
  static constexpr std::chrono::minutes kPauseMax{15};

  /// The references must outlive it. `seed` is for the jitter of retries.
  Endpoint(EndpointSettings settings, ChatModel& model, Clock& clock, Observer& observer,
           std::uint64_t seed);

  const EndpointSettings& settings() const { return settings_; }
  bool offers(std::string_view model) const;
  /// Prompt and answer together: as configured, or less where the endpoint says so.
  std::int64_t context_tokens() const;
  /// False while the circuit is open, or the server asked for a wait that is not worth it.
  bool is_available();

  /// Largest cost of a call with these tokens, in millionths of a US dollar.
  std::int64_t cost_max(std::int64_t prompt_tokens, std::int64_t output_tokens) const;

  /// Sends the request, again where that is right, and accounts for it. Every sending is on record
  /// in the ledger before it is sent.
  Call call(const ChatRequest& request, CallLedger& ledger, std::stop_token stop);

 private:
  /// A request with what is known of it before it is sent.
  struct Outgoing {
    const ChatRequest& request;
    std::int64_t prompt_estimate = 0;
    std::string prompt_digest{};
    int retries = 0;  ///< Sendings before this one.
  };

  /// A place among the calls at once. False: stopped before there was one.
  bool take_slot(std::stop_token stop);
  void leave_slot();
  std::optional<CallFailure> enter(std::int64_t tokens, std::stop_token stop);
  Sending send_once(const Outgoing& outgoing, CallLedger& ledger, std::stop_token stop);
  Result<int> put_on_record(const Outgoing& outgoing, CallLedger& ledger, std::stop_token stop);
  void settle(const Sending& sending, std::int64_t prompt_estimate, std::int64_t reserved,
              SteadyTime sent);
  /// The wait before the failed request is sent again, or nothing when it must not be.
  std::optional<std::chrono::milliseconds> plan_retry(const CallFailure& failure, int retries_done);
  void account(const Sending& sending, const Outgoing& outgoing, CallRecord& record) const;
  /// A sending on its own.
  CallRecord record_of(const Sending& sending, const Outgoing& outgoing) const;

  const EndpointSettings settings_;
  ChatModel& model_;
  Clock& clock_;
  Observer& observer_;
  std::mutex mutex_;  // Guards everything below.
  std::condition_variable_any slot_freed_;
  ConcurrencyLimit concurrency_;
  RateLimiter limiter_;
  CircuitBreaker breaker_;
  Rng rng_;
};

}  // namespace cambrian::codegen
