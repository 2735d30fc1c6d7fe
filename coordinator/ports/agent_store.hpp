#pragma once

#include "coordinator/ports/campaign.hpp"
#include "coordinator/ports/work_store.hpp"

namespace cambrian::coordinator {

enum class AgentState { alive, draining, lost, quarantined };

struct AgentRecord {
  AgentDescription description;
  AgentState state = AgentState::alive;
  int leases = 0;
  std::int64_t attempts_finished = 0;
  std::int64_t jumps_disputed = 0;  ///< Scores of workers of its name that nobody confirmed.
  std::string quarantine_evidence;  ///< Of workers of its name; empty: they get work.
  Instant created_at;
  Instant last_sync_at;
  std::vector<Progress> running;
};

struct ModelUsage {
  std::string model;
  std::string endpoint;
  std::int64_t calls = 0;
  std::int64_t calls_failed = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cost_micro_usd = 0;
  double latency_mean_ms = 0;
  std::int64_t variants = 0;
  std::int64_t cached_prompt_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  std::int64_t calls_unknown = 0;
};

/// Numbers for metrics, over all campaigns.
struct Overview {
  std::map<std::string, std::int64_t> campaigns;  ///< By state.
  std::map<std::string, std::int64_t> items;      ///< By "kind/state".
  std::map<std::string, std::int64_t> agents;     ///< By "kind/state".
  std::map<std::string, std::int64_t> slots;      ///< By kind, of living agents.
  std::int64_t oldest_transaction_ms = 0;         ///< What holds back the clean-up of dead rows.
};

/// Agents and the use of models, for operators. Any executor; never blocks the caller. Every
/// method may fail with `unavailable`, `exhausted` or `deadline_exceeded`.
class AgentStore {
 public:
  virtual ~AgentStore() = default;

  /// Agents seen within the last day, by kind and name; lost are those silent for longer than
  /// `lease`.
  virtual awaitable<Result<std::vector<AgentRecord>>> list(bool with_lost, milliseconds lease) = 0;

  /// By id, or by a name that one living agent has. Errors: `not_found`; `conflict` when several
  /// have the name.
  virtual awaitable<Result<AgentRecord>> drain(std::string agent, milliseconds lease) = 0;

  /// Lets workers of this name work again, and returns what their quarantine was for. Errors:
  /// `not_found`.
  virtual awaitable<Result<std::string>> release(std::string worker) = 0;

  /// Of one campaign, or of all (empty name). Errors: `not_found`.
  virtual awaitable<Result<std::vector<ModelUsage>>> usage(std::string campaign) = 0;

  virtual awaitable<Result<Overview>> overview(milliseconds lease) = 0;
};

}  // namespace cambrian::coordinator
