#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/rng.hpp"
#include "coordinator/search/jump_gate.hpp"
#include "coordinator/search/ledger.hpp"
#include "coordinator/search/policy.hpp"
#include "coordinator/search/race.hpp"
#include "coordinator/search/settings.hpp"
#include "coordinator/search/share_learner.hpp"
#include "coordinator/search/trial.hpp"
#include "coordinator/search/tuner.hpp"
#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// So many proposals in a row without any variant end a campaign; outages do not count.
inline constexpr int kFailedProposalsMax = 50;
/// So many proposals in a row that led to no new evaluation, duplicates included, end it too.
inline constexpr int kFruitlessProposalsMax = 200;
/// Failed variants that are remembered to be shown in proposals and to be mended.
inline constexpr std::size_t kFailuresKept = 256;
/// Repairs in a row until a program counts as beyond repair.
inline constexpr int kRepairsMax = 2;

/// One campaign's search: events in, commands out. No clock, no I/O, no global state.
///
/// **Repeatable.** The same settings and the same events give the same commands, bit for bit.
/// Everything random derives from `Settings::seed` and the number of the proposal or evaluation, so
/// the order of arrival does not change the seed of proposal n, nor its operator and model unless
/// shares are learned or there is something to tune or to repair. What it does change: results that
/// arrive earlier are known earlier, so which parents proposal n has, and the numbers of variants,
/// depend on the order of the events. The log of events, not the seed alone, repeats a lineage;
/// with one proposal and one evaluation in flight the two are the same thing. Exception: hill_climb
/// chooses its parents by whole generations, independent of the order within one unless `races`.
///
/// **Life.** `Started` asks for the seed's evaluation; a seed that fails ends the campaign. Then
/// proposals and evaluations are kept in flight until a budget, the target, the user or a row of
/// fruitless proposals ends the search (draining). When nothing is open, seed and best are
/// evaluated anew with `final_repeats` fresh seeds on both splits, the same seeds for both
/// (finalizing), and the campaign ends. A stop by the user goes without the finals, as does a seed
/// that failed.
///
/// **Evaluations.** At most `budget.evaluations` search evaluations are finished plus open, at any
/// time; unless something else ends the search, exactly so many are finished, failures included.
/// For that, proposals in flight reserve `repeats` evaluations for each variant, and a proposal is
/// asked for as few variants as still fit; the variants of a proposal beyond what it was asked for
/// are dropped, the first ones are taken. A variant's first evaluation goes ahead alone; the other
/// repeats follow when it succeeded. When the budget is not a multiple, the last variant gets fewer
/// repeats: it is settled with the mean of those, but never becomes the best nor a parent, as its
/// score is not comparable (the seed excepted). The same holds for a variant that is cut short by
/// the end of the search; one that never had an evaluation stays pending.
///
/// **Races.** With `races` the repeats of a variant follow one after the other, and end when they
/// show that it is worse than the best (`find_lost_score`). It then has the score that they suggest
/// and is a variant like any other. While the best breaks a constraint nobody loses to it. Which
/// best a variant meets depends on the order of the events, under every policy.
///
/// With `evaluation_seed` every variant is measured on the same draws: differences between variants
/// are then not those of their luck. The finals tell what of a score was made to measure.
///
/// **Tuning.** A proposal of the operator `tune` is the next point of a search over the constants
/// of one variant (`Tuner`); the parent's source and the point are all that it takes, so it
/// reserves and costs nothing, and its one variant is evaluated within the same budget as any
/// other. While there is no point (constants or results are awaited, nothing is left to tune)
/// another operator is drawn.
///
/// **Repair.** A proposal of the operator `repair` has a failed variant as its parent: the newest
/// of its island of which no repair was asked for, unless it is the last of `kRepairsMax` repairs
/// in a row or the program was not at fault. For the policy its variants are children of the
/// variant that the failed one came from. While nothing is to mend another operator is drawn.
///
/// **Learned shares.** With `learns_shares` operators and models are drawn as `ShareLearner` says,
/// from what the variants that are settled by then have gained in the first objective.
///
/// **Noise.** The seed is evaluated `noise_repeats` more times behind its own evaluations, each
/// with draws of its own, within the budget. They tell how much a score varies; no score is made of
/// them.
///
/// **Jumps.** A variant whose evaluations are complete and whose score jumps (`JumpGate`) is held:
/// it is not settled, and neither best nor parent. One more evaluation with a seed of its own is
/// requested for the one that ranks first of those that are held, one at a time; a new best or the
/// noise may make others jump no more, and they settle like any variant. A confirmed jump counts
/// with the score of the variant's own evaluations, which compares with others. A disputed one
/// settles with the worse of both results and is neither best nor parent; the same holds for one
/// that is unconfirmed because the search ends. These evaluations are part of the budget: while
/// variants are in flight one is kept back for them, and the last one is spent when all results
/// are in, on the best of them.
///
/// **Early stops.** An evaluation whose training was ended as hopeless counts as finished and not
/// as failed. Its variant is settled without a score, so it is neither best nor a parent, and is
/// not shown as a failure. Who is ended is decided outside (`is_hopeless`): here it is a result.
///
/// **Ends.** Draining cancels the open proposals. An answer that comes in nevertheless is paid for
/// but not used. Evaluations that are open finish and count, may change the best, and may overrun
/// gpu_time and wall_time by themselves (at most `evaluations_parallel` of them). When tokens or
/// money end the search, variants that are paid for but wait for their evaluations still get them.
/// A budget of tokens or money counts as reached when the next proposal's reserve does not fit.
///
/// **Pause.** While paused, results are counted, variants enter and are settled, but nothing is
/// requested and the search does not end; resuming goes on with what was held back.
///
/// **Cancelled numbers** are closed: the search does not wait for them. If one finishes all the
/// same, its cost is counted and its result is not used. Events about numbers that are not open
/// and not cancelled are ignored.
///
/// **Memory.** For each variant ever made about 50 bytes: its digest and number (duplicates).
/// Beyond that only what is in flight, the members of the policy's archive and the last
/// `kFailuresKept` failures. An event costs O(log n) in the number of variants, plus what is in
/// flight at an end.
///
/// Not safe to share between threads. Movable.
class Search {
 public:
  /// The best variant so far.
  using Best = Scored;

  /// The settings must be valid: `validate(settings)` gives no problems.
  explicit Search(Settings settings);

  /// Takes the next event. `Started` must be the first one and come once. Commands are to be
  /// carried out in order.
  std::vector<Command> handle(const Event& event);

  Phase phase() const { return is_paused_ ? Phase::paused : phase_; }
  /// Why the search ends: `none` while it runs.
  EndReason end_reason() const { return end_.reason; }
  const std::string& explanation() const { return end_.explanation; }
  const Consumption& consumption() const { return ledger_.used; }
  /// None until the seed is evaluated.
  std::optional<Best> best() const { return best_; }
  std::optional<double> seed_score() const { return seed_score_; }
  /// Standard deviation of one evaluation of the seed; none while it is not measured.
  std::optional<double> noise_deviation() const {
    return noise_of_seed_ ? std::optional(noise_of_seed_->deviation) : std::nullopt;
  }
  /// Requested, not finished and not cancelled; ascending.
  std::vector<ProposalNumber> open_proposals() const;
  std::vector<EvaluationNumber> open_evaluations() const;
  /// Variants that may become parents, the best first, for each island; one list without islands.
  std::vector<std::vector<Member>> members() const { return policy_->members(); }
  const Settings& settings() const { return settings_; }

 private:
  /// Where a variant comes from, known when its proposal is requested.
  struct Origin {
    std::vector<VariantNumber> parents = {};
    /// What the policy takes for its parents: these, but for a repair, whose parent has failed,
    /// those of the variant that was mended.
    std::vector<VariantNumber> bred_from = {};
    std::optional<Scored> bred_best = {};  ///< The best of them.
    Operator operation = Operator::diff;
    std::optional<int> island = {};
    int generation = 0;
    int repairs = 0;                           ///< In a row, this one included.
    std::optional<Tuner::Sample> sample = {};  ///< Of the operator `tune`.
    /// What was drawn, by its place in Settings: also where a crossover became a diff.
    std::size_t operator_place = 0;
    std::optional<std::size_t> model_place = {};
    double cost = 0;  ///< Of each variant of the proposal, once it has ended; Ledger::share_of.
  };
  struct OpenProposal {
    Origin origin;
    int variants = 0;
    bool is_reserved() const { return !origin.sample; }
  };
  /// A variant that jumps, complete but for the evaluation that is to confirm it.
  struct Held {
    Scored scored;
    Jump jump;
    Scored best;  ///< The variant above which it jumps.
  };
  /// What became of a jump.
  struct Ruling {
    Confirmation confirmation = Confirmation::none;
    std::optional<double> jump_score = {};
    std::optional<double> second_score = {};
    bool is_doubted() const {
      return confirmation == Confirmation::disputed || confirmation == Confirmation::unconfirmed;
    }
  };
  struct OpenVariant {
    Origin origin;
    std::int64_t source_tokens = 0;
    Trial trial;
  };
  /// An evaluation that waits for its turn.
  struct Planned {
    VariantNumber variant;
    std::optional<int> final_repeat;  ///< None: a search evaluation.
    Split split = Split::validation;
    std::optional<int> noise_repeat = {};  ///< Set: it measures the noise, nothing else.
    bool is_confirmation = false;
    bool is_of_trial() const { return !final_repeat && !noise_repeat && !is_confirmation; }
  };
  struct OpenEvaluation {
    Planned plan;
    int repeat = 0;
  };
  struct Failure {
    VariantNumber variant;
    Origin origin;
    bool is_to_mend = false;  ///< No repair of it was asked for yet, and one may be.
  };
  struct DigestHash {
    std::size_t operator()(const std::pair<std::uint64_t, std::uint64_t>& key) const {
      return static_cast<std::size_t>(key.first);
    }
  };

  void on(const Started& event);
  void on(const ProposalFinished& event);
  void on(const EvaluationFinished& event);
  void on(const ConstantsFound& event);
  void on(const AttemptCharged& event);
  void on(const PauseRequested& event);
  void on(const ResumeRequested& event);
  void on(const StopRequested& event);
  void on(const TimePassed& event);

  // What follows from the state, after each event.
  void advance();
  std::optional<End> find_end() const;
  void request_proposals();
  int next_proposal_size() const;
  /// Evaluations that are open, planned, or promised to proposals.
  std::int64_t evaluations_wanted() const;
  void request_proposal(int variants);
  bool request_repair(ProposalNumber number, std::size_t place, const Rng& rng, int variants);
  void ask_model(RequestProposal command, Origin origin, const Rng& rng, int variants);
  bool request_tuned(ProposalNumber number, std::size_t place, const Rng& rng);
  void begin_tuning(ProposalNumber number, const Rng& rng);
  std::vector<VariantNumber> pick_failures(const Choice& choice) const;
  void learn(const Origin& origin, const std::optional<Scored>& scored);
  void request_evaluations();

  // Variants.
  void add_new_variants(const ProposalFinished& event, const OpenProposal& proposal);
  void add_variant(const NewVariant& variant, AddVariant command, Origin origin);
  void queue_evaluations(VariantNumber number, OpenVariant& variant);
  void end_if_lost(VariantNumber number, OpenVariant& variant);
  void settle_if_complete(VariantNumber number);
  void settle(VariantNumber number, const Verdict& verdict, const Ruling& ruling);
  std::uint64_t seed_of(const Planned& plan, EvaluationNumber number, int repeat) const;
  void enter_archive(Scored scored, const OpenVariant& variant,
                     const std::map<std::string, double>& metrics);

  // Evaluations that check scores (search_checks.cpp).
  void plan_noise();
  void finish_noise(const EvaluationFinished& event, int repeat);
  Scored scored_of(VariantNumber number, const OpenVariant& variant, const Verdict& verdict) const;
  std::optional<Jump> find_jump(VariantNumber number, const OpenVariant& variant,
                                const Verdict& verdict) const;
  void review_jumps();
  void request_confirmation();
  void finish_confirmation(const EvaluationFinished& event, VariantNumber number);

  // The end.
  void begin_draining(End end);
  void cancel_proposals();
  void cancel_evaluations(const std::set<EvaluationNumber>& kept);
  void drop_backlog();
  void leave_draining();
  void plan_finals(VariantNumber best);
  void set_phase(Phase phase);

  template <class C>
  void emit(C command) {
    commands_.emplace_back(std::move(command));
  }

  Settings settings_;
  Rng rng_;
  Ranking ranking_;
  Ledger ledger_;
  JumpGate gate_;
  std::unique_ptr<Policy> policy_;
  Tuner tuner_;
  ShareLearner operators_;
  ShareLearner models_;

  Phase phase_ = Phase::running;
  bool is_started_ = false;
  bool is_paused_ = false;
  End end_;
  bool is_quota_exhausted_ = false;
  std::optional<Outcome> seed_failure_;
  int failed_proposals_in_row_ = 0;
  int fruitless_proposals_in_row_ = 0;

  std::optional<Best> best_;
  std::vector<double> best_scores_;  ///< Of all its repeats; empty where the seed has not all.
  std::optional<double> seed_score_;
  std::map<int, double> noise_;  ///< Scores by repeat, so that their order does not count.
  int noise_finished_ = 0;
  std::optional<Noise> noise_of_seed_;
  std::deque<Failure> failures_;  ///< The newest first.

  std::int64_t last_proposal_ = 0;
  std::int64_t last_evaluation_ = 0;
  std::map<ProposalNumber, OpenProposal> proposals_;
  std::map<VariantNumber, OpenVariant> variants_;
  std::map<EvaluationNumber, OpenEvaluation> evaluations_;
  std::deque<Planned> backlog_;
  std::map<VariantNumber, Held> held_;
  std::optional<VariantNumber> confirming_;  ///< One of them: its evaluation is open.
  bool is_review_due_ = false;               ///< What is a jump has changed.
  bool is_closed_ = false;                   ///< No search evaluation will be requested any more.
  std::int64_t variants_expected_ = 0;       ///< Of the open proposals.
  std::int64_t evaluations_unissued_ = 0;    ///< Of the open variants.
  std::set<ProposalNumber> cancelled_proposals_;
  std::set<EvaluationNumber> cancelled_evaluations_;
  /// Only looked up, never iterated.
  std::unordered_map<std::pair<std::uint64_t, std::uint64_t>, VariantNumber, DigestHash> digests_;

  std::vector<Command> commands_;
};

/// The words of the enums as they appear in explanations and logs.
std::string_view to_string(Outcome outcome);

}  // namespace cambrian::search
