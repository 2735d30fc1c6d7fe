#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/id.hpp"

/// The vocabulary of the search: values only. The search is a pure state machine; its inputs are
/// events, its outputs commands. Time, randomness and measured results come in as values.
namespace cambrian::search {

using VariantNumber = Id<struct VariantTag>;        ///< In its campaign; 0 is the seed.
using ProposalNumber = Id<struct ProposalTag>;      ///< In its campaign, from 1.
using EvaluationNumber = Id<struct EvaluationTag>;  ///< In its campaign, from 1.

enum class Goal { maximize, minimize };
enum class PolicyKind { random, hill_climb, islands, sequential, pareto, clade };
enum class Selection { rank, tournament, novelty, upper_bound };
enum class Operator { diff, rewrite, crossover, tune, repair, simplify, explain };
enum class Split { validation, sealed };
enum class VariantState { pending, evaluated, failed, duplicate };
enum class Outcome {
  success,
  compile_error,
  crash,
  timeout,
  out_of_memory,
  bad_output,
  not_finite,
  resource_exceeded,
  infrastructure,  ///< Retries are used up; counted as a failure of the evaluation.
  stopped_early,   ///< Its training was ended as hopeless: no failure, and no score either.
};
/// What became of a score that jumped.
enum class Confirmation {
  none,         ///< It did not.
  confirmed,    ///< Another evaluation has most of the jump too: the score counts.
  disputed,     ///< Another evaluation has not: the worse of both stays, and does not count.
  unconfirmed,  ///< The search ended before there was another one: the score does not count.
};
enum class Phase { running, paused, draining, finalizing, ended };
enum class EndReason {
  none,
  evaluations,
  tokens,
  cost,
  gpu_time,
  wall_time,
  target,
  user,
  failure,
};

struct Objective {
  std::string metric;
  Goal goal = Goal::maximize;
  std::optional<double> target;
  friend bool operator==(const Objective&, const Objective&) = default;
};

/// One axis of the MAP-Elites grid. `source_tokens` is the length of the program; every other name
/// is a metric.
struct Feature {
  std::string metric;
  int bins = 8;        ///< 2 to 64.
  double minimum = 0;  ///< Values below fall into the first bin.
  double maximum = 1;  ///< Values above fall into the last bin.
  bool is_logarithmic = false;
  friend bool operator==(const Feature&, const Feature&) = default;
};

/// A bound on a metric: any variant that keeps all of them ranks before any that does not.
struct Constraint {
  std::string metric;  ///< As for features, `source_tokens` is the length of the program.
  std::optional<double> minimum;
  std::optional<double> maximum;
  friend bool operator==(const Constraint&, const Constraint&) = default;
};

struct OperatorShare {
  Operator kind = Operator::diff;
  double weight = 1;
  friend bool operator==(const OperatorShare&, const OperatorShare&) = default;
};

struct ModelShare {
  std::string model;  ///< Empty: the client's default.
  double weight = 1;
  std::optional<double> temperature;
  friend bool operator==(const ModelShare&, const ModelShare&) = default;
};

/// Zero: no such limit.
struct Budget {
  std::int64_t evaluations = 0;
  std::int64_t tokens = 0;
  std::int64_t cost_micro_usd = 0;
  std::int64_t gpu_time_ms = 0;
  std::int64_t wall_time_ms = 0;
  friend bool operator==(const Budget&, const Budget&) = default;
};

/// A resolved campaign: every default filled in, every value checked.
struct Settings {
  std::uint64_t seed = 1;
  std::vector<Objective> objectives;  ///< At least one; the first ranks.
  PolicyKind policy = PolicyKind::islands;
  int islands = 4;
  int island_size = 60;
  int migration_interval = 40;  ///< Evaluations.
  double migration_fraction = 0.1;
  int reset_interval = 0;  ///< Evaluations; 0 (campaigns of older versions): islands live on.
  /// Share of the budget at which islands only climb; 0 (campaigns of older versions): never.
  double climb_from = 0;
  std::vector<Feature> features;
  int children = 8;
  int generations = 10;  ///< Of one chain of `sequential`.
  std::vector<Constraint> constraints;
  std::vector<OperatorShare> operators;
  /// Shares of operators and models follow what they gain for what they cost.
  bool learns_shares = false;
  int tune_evaluations = 40;  ///< Of one run of the operator `tune`.
  double exploitation = 0.7;
  Selection selection = Selection::rank;  ///< Of `islands`.
  int inspirations = 2;
  int failures = 2;
  int repeats = 1;
  /// Repeats of a variant go one after the other, and end when it is shown to be worse.
  bool races = false;
  /// What search evaluations draw at random follows from it and the repeat, the same for every
  /// variant. None (campaigns of older versions): each evaluation has a seed of its own.
  std::optional<std::uint64_t> evaluation_seed;
  int noise_repeats = 0;  ///< Of the seed, with draws of their own, at the start.
  int final_repeats = 3;
  /// So many sigma above the best are a jump; 0 (campaigns of older versions): none is.
  double confirm_sigma = 0;
  int evaluations_parallel = 64;
  int proposals_parallel = 8;
  int variants_per_proposal = 1;
  std::vector<ModelShare> models;
  std::int64_t tokens_reserved = 0;          ///< For one proposal.
  std::int64_t cost_reserved_micro_usd = 0;  ///< For one proposal.
  Budget budget;
};

/// A number in a program that may be tuned.
struct Constant {
  double value = 0;  ///< From `low` to `high`.
  double low = 0;    ///< Below `high`; positive where the scale is logarithmic.
  double high = 0;
  bool is_logarithmic = false;
  friend bool operator==(const Constant&, const Constant&) = default;
};

// ---- Events: what happened. Stored in order; replaying them gives the same state. ----

/// Always the first event.
struct Started {
  std::string seed_token_digest;
  std::int64_t seed_source_tokens = 0;
};

/// One variant out of a proposal.
struct NewVariant {
  std::string token_digest;  ///< Equal digests mean equal programs.
  std::int64_t source_tokens = 0;
};

/// A proposal ended, well or not; with no variants it failed.
struct ProposalFinished {
  ProposalNumber proposal;
  std::vector<NewVariant> variants;
  std::int64_t tokens = 0;
  std::int64_t cost_micro_usd = 0;
  bool is_quota_exhausted = false;  ///< The provider's account is empty: no use in going on.
  /// Without variants because the endpoint or the agents failed: no model had its say.
  bool is_infrastructure = false;
};

/// An evaluation ended, well or not.
struct EvaluationFinished {
  EvaluationNumber evaluation;
  Outcome outcome = Outcome::success;
  std::map<std::string, double> metrics;
  std::int64_t gpu_time_ms = 0;
};

/// The answer to FindConstants: in the order of the text, none if there is nothing to tune.
struct ConstantsFound {
  VariantNumber variant;
  std::vector<Constant> constants;
};

/// An attempt that gave no result cost something all the same: it failed by its agent's fault, was
/// lost, or reported when its lease was gone. What gave a result tells its cost with it.
struct AttemptCharged {
  std::int64_t tokens = 0;
  std::int64_t cost_micro_usd = 0;
  std::int64_t gpu_time_ms = 0;
};

struct PauseRequested {};
struct ResumeRequested {};

/// The user ends the campaign. What agents have begun is waited for, the rest is withdrawn.
struct StopRequested {
  std::vector<EvaluationNumber> begun;  ///< Open evaluations that an agent is working on.
};

/// The driver measured the running time (pauses left out). Sent when the budget of wall time is
/// reached, at the latest.
struct TimePassed {
  std::int64_t running_ms = 0;
};

using Event =
    std::variant<Started, ProposalFinished, EvaluationFinished, ConstantsFound, AttemptCharged,
                 PauseRequested, ResumeRequested, StopRequested, TimePassed>;

// ---- Commands: what is to be done, in order, in the same transaction as the event. ----

struct RequestProposal {
  ProposalNumber proposal;
  Operator operation = Operator::diff;
  /// One, or two for a crossover. Evaluated, but that of a repair, which has failed.
  std::vector<VariantNumber> parents;
  std::vector<VariantNumber> inspirations;
  std::vector<VariantNumber> failures;
  std::uint64_t seed = 0;
  int variants = 1;
  std::string model;
  std::optional<double> temperature;
  /// Of the operator `tune`, which needs no model: the parent with these values for its constants,
  /// in the order of ConstantsFound.
  std::vector<double> constants = {};
  friend bool operator==(const RequestProposal&, const RequestProposal&) = default;
};

/// The constants of a variant are wanted; ConstantsFound is to follow.
struct FindConstants {
  VariantNumber variant;
  friend bool operator==(const FindConstants&, const FindConstants&) = default;
};

/// A score that beats the best by more than `confirm_sigma` times sigma (`JumpGate`).
struct Jump {
  double score = 0;
  double best = 0;   ///< Score of the best variant then.
  double sigma = 0;  ///< 0: any gain is a jump.
  friend bool operator==(const Jump&, const Jump&) = default;
};

struct RequestEvaluation {
  EvaluationNumber evaluation;
  VariantNumber variant;
  Split split = Split::validation;
  std::uint64_t seed = 0;
  bool is_final = false;
  /// Set: it is to confirm this jump, by another worker than those that evaluated the variant
  /// before.
  std::optional<Jump> jump = {};
  friend bool operator==(const RequestEvaluation&, const RequestEvaluation&) = default;
};

/// A variant of a proposal enters the campaign. `index` is its place in ProposalFinished.variants;
/// for the seed there is no proposal.
struct AddVariant {
  VariantNumber variant;
  std::optional<ProposalNumber> proposal;
  std::size_t index = 0;
  std::vector<VariantNumber> parents;
  Operator operation = Operator::diff;
  std::optional<int> island;
  int generation = 0;
  std::optional<VariantNumber> duplicate_of;  ///< Set: it is not evaluated.
  friend bool operator==(const AddVariant&, const AddVariant&) = default;
};

/// A variant's evaluations are complete, or one failed.
struct SettleVariant {
  VariantNumber variant;
  VariantState state = VariantState::evaluated;
  Outcome outcome = Outcome::success;
  std::map<std::string, double> metrics;  ///< Means; of the objective what a lost race suggests.
  std::optional<double> score;            ///< That of the first objective.
  Confirmation confirmation = Confirmation::none;
  std::optional<double> jump_score = {};    ///< The one that jumped, if it did.
  std::optional<double> second_score = {};  ///< Of the other evaluation, if it succeeded.
  friend bool operator==(const SettleVariant&, const SettleVariant&) = default;
};

/// The best variant changed.
struct SetBest {
  VariantNumber variant;
  double score = 0;
  friend bool operator==(const SetBest&, const SetBest&) = default;
};

/// The noise of the task: how much the score of one evaluation of the seed varies with its draws.
struct SetNoise {
  double deviation = 0;  ///< Standard deviation of the first objective.
  int evaluations = 0;   ///< At least 2.
  friend bool operator==(const SetNoise&, const SetNoise&) = default;
};

/// Open work is withdrawn, whether or not an agent has begun it: nobody waits for these numbers.
/// One that is finished all the same costs what it costs.
struct CancelProposals {
  std::vector<ProposalNumber> proposals;
  friend bool operator==(const CancelProposals&, const CancelProposals&) = default;
};

struct CancelEvaluations {
  std::vector<EvaluationNumber> evaluations;
  friend bool operator==(const CancelEvaluations&, const CancelEvaluations&) = default;
};

struct SetPhase {
  Phase phase = Phase::running;
  EndReason reason = EndReason::none;
  std::string explanation;
  friend bool operator==(const SetPhase&, const SetPhase&) = default;
};

using Command =
    std::variant<RequestProposal, FindConstants, RequestEvaluation, AddVariant, SettleVariant,
                 SetBest, SetNoise, CancelProposals, CancelEvaluations, SetPhase>;

}  // namespace cambrian::search
