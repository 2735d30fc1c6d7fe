#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/ports/work.hpp"

/// Campaigns, variants and events as they are stored.
namespace cambrian::coordinator {

enum class CampaignState { running, paused, draining, finalizing, succeeded, stopped, failed };

constexpr bool has_ended(CampaignState state) {
  return state == CampaignState::succeeded || state == CampaignState::stopped ||
         state == CampaignState::failed;
}

/// What a campaign is made of; fixed when it is created.
struct CampaignDefinition {
  std::string name;
  std::string spec;  ///< The resolved spec as the adapter of the wire serialised it.
  std::string task_digest;
  std::string task_name;
  int priority = 50;
  search::Settings settings;
  search::Started started;
  std::vector<SourceFile> seed_files;
  std::string language;  ///< Of the evolvable files, as the task names it.
  std::map<std::string, double> parameters;
  std::string instructions;
  std::map<std::string, std::string> prompts;  ///< By the word of the operator.
  int output_tokens = 0;
  std::optional<search::EarlyStop> early_stop;  ///< None: every training is finished.
  bool reuses_results = false;  ///< An equal evaluation that was made before is not made again.
  // What a worker must be able to do.
  std::string runtime;
  int sandbox_level = 0;
  int gpus = 0;
  /// An attempt at an evaluation gets at least this long: the task's own limits and some slack.
  milliseconds attempt_budget_min{0};
};

struct Consumption {
  std::int64_t evaluations = 0;
  std::int64_t evaluations_failed = 0;
  std::int64_t evaluations_reused = 0;
  std::int64_t evaluations_stopped_early = 0;
  std::int64_t final_evaluations = 0;
  std::int64_t proposals = 0;
  std::int64_t proposals_failed = 0;
  std::int64_t duplicates = 0;
  std::int64_t tokens = 0;
  std::int64_t cost_micro_usd = 0;
  std::int64_t gpu_time_ms = 0;
  std::int64_t cpu_time_ms = 0;
  std::int64_t running_ms = 0;
  std::int64_t time_saved_ms = 0;  ///< By stopping early.
};

/// Metric name to the values of all seeds, in the order of the evaluations.
using Samples = std::map<std::string, std::vector<double>>;

struct FinalScore {
  std::int64_t variant = 0;
  Samples validation;
  Samples sealed;
};

/// Variants whose score jumped.
struct Jumps {
  std::int64_t confirmed = 0;
  std::int64_t disputed = 0;
  std::int64_t unconfirmed = 0;
};

struct CampaignRecord {
  CampaignId id;
  std::string name;
  std::string spec;
  CampaignState state = CampaignState::running;
  search::EndReason end_reason = search::EndReason::none;
  std::string reason;
  Instant created_at;
  std::optional<Instant> ended_at;
  Consumption consumption;
  search::Budget budget;
  std::optional<std::int64_t> best_variant;
  std::optional<double> best_score;
  std::optional<double> seed_score;
  std::optional<double> noise_deviation;  ///< Of one evaluation of the seed.
  std::optional<Jumps> jumps;             ///< Only where one campaign is asked for.
  std::int64_t evaluations_open = 0;
  std::int64_t proposals_open = 0;
  std::int64_t last_sequence = 0;
  std::int64_t applied_sequence = 0;
  std::string task_name;
  std::string objective_metric;
  bool is_maximized = true;
  std::string hint;                      ///< What a person told the model last; empty: nothing.
  std::string owner;                     ///< Name of the token that created it; empty: none.
  std::optional<FinalScore> final_seed;  ///< Only of an ended or finalizing campaign.
  std::optional<FinalScore> final_best;
};

struct EvaluationRecord {
  std::int64_t number = 0;
  search::Split split = search::Split::validation;
  std::uint64_t seed = 0;
  bool is_final = false;
  bool is_confirmation = false;  ///< Of a jump.
  std::optional<EvaluationResult> result;
  std::string agent;
  std::optional<Instant> finished_at;
  int attempts = 0;
};

struct VariantRecord {
  std::int64_t number = 0;
  std::vector<std::int64_t> parents;
  std::optional<search::Operator> operation;
  search::VariantState state = search::VariantState::pending;
  std::optional<search::Outcome> outcome;
  std::map<std::string, double> metrics;
  std::optional<double> score;
  std::optional<int> island;
  std::vector<SourceFile> files;
  std::string rationale;
  Instant created_at;
  std::optional<std::int64_t> duplicate_of;
  std::string model;
  int generation = 0;
  search::Confirmation confirmation = search::Confirmation::none;
  std::optional<double> jump_score;           ///< The one that jumped, if it did.
  std::optional<double> second_score;         ///< Of the evaluation that was to confirm it.
  std::vector<EvaluationRecord> evaluations;  ///< Only where one variant is asked for.
  std::string diagnostics;                    ///< Likewise.
};

struct EventRecord {
  std::int64_t sequence = 0;
  Instant time;
  std::string type;
  std::optional<std::int64_t> variant;
  std::string message;
  std::string json;
};

}  // namespace cambrian::coordinator
