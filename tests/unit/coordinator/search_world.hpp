#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {

/// Settings of any kind: small, so that every limit is met.
Settings random_settings(Rng& rng);

/// What the commands say, kept apart from the search.
struct Shadow {
  std::map<ProposalNumber, RequestProposal> proposals;
  std::map<EvaluationNumber, RequestEvaluation> evaluations;
  std::set<ProposalNumber> cancelled_proposals;
  std::set<EvaluationNumber> cancelled_evaluations;
  std::map<VariantNumber, AddVariant> variants;
  std::map<VariantNumber, SettleVariant> settled;
  std::map<ProposalNumber, int> asked;
  std::set<VariantNumber> repaired;       ///< Failed variants of which a repair was asked for.
  std::map<VariantNumber, int> tuned_on;  ///< Islands of the variants that are tuned.
  std::vector<VariantNumber> constants_wanted;
  std::map<VariantNumber, std::vector<Constant>> constants;
  std::map<ProposalNumber, std::optional<int>> island_of;
  std::map<VariantNumber, int> requested;  ///< Search evaluations, by variant.
  std::map<VariantNumber, int> results;    ///< Those of them that finished.
  /// Of the variant's own repeats, in the order of their requests.
  std::map<VariantNumber, std::map<EvaluationNumber, double>> scores;
  std::set<VariantNumber> lost;              ///< Lost their race to the best.
  std::vector<std::vector<Member>> members;  ///< Before the event.
  std::optional<Scored> best;
  std::optional<Noise> noise;
  Phase phase = Phase::running;
  EndReason reason = EndReason::none;
  std::int64_t last_proposal = 0;
  std::int64_t last_evaluation = 0;
  std::int64_t finished = 0;  ///< Search evaluations.
  std::int64_t finals_requested = 0;
};

/// Fails the test.
void expect(bool is_true, const char* what);

/// The evaluation counts as a success.
bool has_succeeded(const EvaluationFinished& event);

/// True for a score that another evaluation did not confirm.
bool is_doubted(const SettleVariant& settled);

/// What a paused campaign may command.
void check_is_no_work(const Command& command);

/// The rules of the operator `repair`, from the shadow before the command.
void check_repair(const RequestProposal& request, const Settings& settings, Shadow& shadow);

/// Keeps the score of a search evaluation, if it is one of the variant's own repeats.
void note_score(const RequestEvaluation& request, const EvaluationFinished& event,
                const Settings& settings, Shadow& shadow);

/// Whether the variant lost its race to the best, and has the score that it suggests if so.
void check_race(const SettleVariant& command, const Settings& settings, Shadow& shadow);

/// In a race the repeats of a variant follow one after the other.
void check_turn(const RequestEvaluation& request, const Settings& settings, const Shadow& shadow);

/// What became of the variants of a campaign that has ended; `duplicates` as it counts them.
void check_verdicts(const Settings& settings, const Shadow& shadow, std::int64_t duplicates);

/// Agents that fail, repeat themselves, answer too much or nothing, and report nonsense.
class Agents {
 public:
  explicit Agents(Rng& rng);

  ProposalFinished answer_to(const RequestProposal& request, Rng& rng);
  EvaluationFinished result_of(const RequestEvaluation& request, Rng& rng);

 private:
  double fails_;
  double duplicates_;
  double empty_;
  std::int64_t digests_ = 0;
};

/// Which scores have to be confirmed, by the rules in search.hpp and jump_gate.hpp, from events and
/// commands alone. The shadow is read as it is before the command.
class JumpShadow {
 public:
  JumpShadow(const Settings& settings, const Shadow& shadow)
      : settings_(settings), shadow_(shadow) {}

  /// A search evaluation ended.
  void take(const RequestEvaluation& request, const EvaluationFinished& event);
  void apply(const RequestEvaluation& request);
  void apply(const SettleVariant& command);
  void apply(const SetBest& command, const Scored& now);
  void set_noise(double deviation) { noise_ = deviation; }

 private:
  struct Check {
    RequestEvaluation request;
    Scored best;
    std::optional<EvaluationFinished> result;
  };

  double sigma() const;
  double gain(double score, double best) const;
  /// The second score, if that evaluation succeeded and confirms the first.
  bool is_confirmed(const Check& check) const;
  Scored scored(VariantNumber variant, const EvaluationFinished& event) const;

  const Settings& settings_;
  const Shadow& shadow_;
  double noise_ = 0;
  std::deque<double> gains_;
  std::map<VariantNumber, Check> checks_;
  std::map<VariantNumber, std::set<std::uint64_t>> seeds_;
};

}  // namespace cambrian::search
