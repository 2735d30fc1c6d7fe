#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/search/early_stop.hpp"
#include "coordinator/search/types.hpp"

/// Work items as values: what agents are asked to do and what they report. They mirror
/// proto/cambrian/agent/v1, whose comments hold units and limits.
namespace cambrian::coordinator {

using CampaignId = Id<struct CampaignTag>;
using ItemId = Id<struct ItemTag>;
using std::chrono::milliseconds;
/// A time of the database's clock.
using Instant = std::chrono::sys_time<std::chrono::microseconds>;

enum class WorkKind { evaluation, proposal };
enum class AgentKind { worker, codegen };
enum class ReleaseReason { shutdown, unable };

/// The right to work on an item. Every write of an agent carries it.
struct Lease {
  ItemId item;
  std::int64_t epoch = 0;
  friend auto operator<=>(const Lease&, const Lease&) = default;
};

struct SourceFile {
  std::string path;
  std::string sha256;
  friend bool operator==(const SourceFile&, const SourceFile&) = default;
};

struct Gpu {
  std::string id;
  std::string name;
  std::int64_t memory_bytes = 0;
  std::string trouble;  ///< Why it takes no candidate now, for people. Empty: it takes some.
};

struct AgentDescription {
  std::string agent_id;
  std::string name;
  AgentKind kind = AgentKind::worker;
  std::string version;
  int protocol_version = 0;
  int slots = 0;
  std::vector<std::string> runtimes;
  int sandbox_level = 0;  ///< As in spec.v1.SandboxLevel; a higher level contains the lower ones.
  std::vector<Gpu> gpus;  ///< That take candidates.
  std::vector<Gpu> broken_gpus;  ///< That are in trouble.
  std::vector<std::string> models;
  std::string toolchain;
  std::vector<std::string> sandbox_walls;  ///< For people.
  std::string trouble;  ///< Why it takes no work now, for people. Empty: it does.
};

/// What a training was worth at a rung.
struct RungValue {
  int rung = 0;      ///< From 0.
  double value = 0;  ///< Finite.
};

struct Progress {
  Lease lease;
  std::string phase;
  std::optional<double> fraction = std::nullopt;
  std::optional<std::int64_t> step = std::nullopt;
  std::optional<double> loss = std::nullopt;
  std::vector<RungValue> rungs = {};
};

struct Release {
  Lease lease;
  ReleaseReason reason = ReleaseReason::shutdown;
  std::string checkpoint = {};  ///< Digest of what the next attempt may go on from. Empty: none.
};

/// What an agent says of itself in one call.
struct AgentReport {
  AgentDescription agent;
  std::vector<Progress> running;
  std::vector<Release> released;
  int wanted = 0;
  milliseconds wait_max{0};
  bool is_draining = false;
};

struct EvaluationWork {
  std::string task_digest;
  std::vector<SourceFile> files;
  search::Split split = search::Split::validation;
  std::uint64_t seed = 0;
  std::map<std::string, double> parameters;
  std::string judge_secret;     ///< Of this service; for workers only, never logged.
  std::string checkpoint = {};  ///< Digest of what an earlier attempt left. Empty: nothing.
  std::vector<double> rungs = {};
};

/// A variant as a prompt shows it.
struct ProgramContext {
  std::int64_t variant = 0;
  std::vector<SourceFile> files;
  std::map<std::string, double> metrics;
  std::optional<search::Outcome> outcome;
  std::string diagnostics;
};

/// A variant that became the best.
struct Gain {
  std::int64_t variant = 0;
  double before = 0;
  double after = 0;
  std::string change;  ///< What the model said of it.
};

struct ProposalWork {
  std::string task_digest;
  search::Operator operation = search::Operator::diff;
  std::vector<ProgramContext> parents;
  std::vector<ProgramContext> inspirations;
  std::vector<ProgramContext> failures;
  std::uint64_t seed = 0;
  int variants = 1;
  std::string model;
  std::optional<double> temperature;
  int output_tokens = 0;
  std::string instructions;
  std::int64_t tokens_reserved = 0;
  std::int64_t cost_reserved_micro_usd = 0;
  std::vector<Gain> gains;  ///< The last one last.
  std::string order;        ///< What the model is told to do; empty: the client's words.
};

struct Assignment {
  Lease lease;
  CampaignId campaign;
  milliseconds attempt_budget{0};
  milliseconds waited{0};  ///< From when it was ready until it was given out.
  std::variant<EvaluationWork, ProposalWork> work;
};

struct EvaluationResult {
  search::Outcome outcome = search::Outcome::success;
  std::map<std::string, double> metrics;
  std::string diagnostics;
  std::string log;
  /// Phase name to milliseconds: fetch, compile, start, first_step, train, judge, total.
  std::map<std::string, double> timings_ms;
  std::int64_t cpu_time_ms = 0;
  std::int64_t gpu_time_ms = 0;
  std::int64_t memory_peak_bytes = 0;
  std::string result_key;
  std::string behaviour_digest;
  bool is_cached = false;
  /// What turned the source into a program: compile or warm. Empty: the worker did not say.
  std::string evaluator = {};
  bool is_resumed = false;         ///< The training went on from a checkpoint.
  std::int64_t time_saved_ms = 0;  ///< Of `stopped_early`: the rest of the training.
};

enum class ProposalOutcome { success, rejected, truncated, refused, no_quota, infrastructure };

struct ProposedVariant {
  std::vector<SourceFile> files;
  std::string token_digest;
  std::int64_t source_tokens = 0;
  std::string rationale;
};

struct ModelCall {
  std::string model;
  std::string endpoint;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cost_micro_usd = 0;
  milliseconds latency{0};
  std::optional<milliseconds> time_to_first_token;
  int retries = 0;
  std::string finish_reason;
  std::string prompt_digest;
  std::string answer_digest;
  bool is_outcome_unknown = false;
  std::int64_t cached_prompt_tokens = 0;  ///< Of the prompt's.
  std::int64_t reasoning_tokens = 0;      ///< Of the answer's.
  std::string request_id;
};

struct ProposalResult {
  ProposalOutcome outcome = ProposalOutcome::success;
  std::vector<ProposedVariant> variants;
  std::vector<ModelCall> calls;
  std::vector<std::string> rejections;
  std::vector<std::string> contents = {};  ///< To be stored with it, whatever becomes of it.
};

/// A report under a lease.
struct WorkReport {
  std::string agent_id;
  Lease lease;
  std::variant<EvaluationResult, ProposalResult> result;
};

/// What became of a report.
enum class Verdict {
  accepted,  ///< Stored and counted.
  repeated,  ///< This lease had reported before: nothing changed.
  retried,   ///< The worker's fault: stored, and the item will be tried again.
  stale,     ///< The lease is lost: stored with its cost, not counted.
  unknown,   ///< There is no such item (its campaign was deleted).
};

// ---- Limits ----

/// Tries that may fail by the workers' fault before an item ends as an infrastructure failure.
inline constexpr int kWorkerFaultsMax = 5;
/// Attempts that may be lost by nobody's fault (expired leases) before the same.
inline constexpr int kLossesMax = 20;
/// Different agents that an item may take down with it before it is poison.
inline constexpr int kKilledAgentsMax = 2;
/// Delay before the second try after a worker's fault; doubles up to the maximum.
inline constexpr milliseconds kRetryDelayMin{1'000};
inline constexpr milliseconds kRetryDelayMax{60'000};
/// Items that one call may ask for.
inline constexpr int kWantedMax = 64;
/// Leases that one call may name.
inline constexpr int kLeasesMax = 1'024;
/// What the contents of one report may have together. Larger ones are uploaded by themselves.
inline constexpr std::int64_t kReportContentsBytesMax = 1024 * 1024;

}  // namespace cambrian::coordinator
