#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// What became of a variant.
struct Verdict {
  VariantState state = VariantState::evaluated;
  Outcome outcome = Outcome::success;
  /// Means of the metrics that every repeat has; of the first objective what a lost race suggests.
  std::map<std::string, double> metrics;
  std::optional<double> score;  ///< That of the first objective; finite.
};

/// The evaluations of one variant from the first request to the verdict.
///
/// The first evaluation goes ahead alone; the other repeats follow when it succeeded, so that a
/// variant that does not even compile costs one evaluation and not `repeats`. In a race they follow
/// one after the other, so that it can be given up between two. The verdict does not
/// depend on the order in which repeats finish: values are kept by repeat, and of several failures
/// the one of the lowest repeat counts.
class Trial {
 public:
  Trial(int repeats, std::string objective, bool is_race = false);

  /// Number of evaluations that should be requested and are not yet queued: marks them as queued.
  int queue_next();
  /// A queued evaluation is requested. Gives its repeat, from 0.
  int issue();
  /// The evaluation of a repeat ended. True if it counts as a success.
  bool finish(int repeat, Outcome outcome, const std::map<std::string, double>& metrics);
  /// The evaluation of a repeat was withdrawn and never ends.
  void withdraw();
  /// Its race is lost: no more repeats, and a score from those that there were. Needs that none is
  /// open or failed.
  void give_up(double score);
  /// Nothing that is not yet issued will be.
  void close() { planned_ = issued_; }

  /// Evaluations that are planned but not issued.
  int unissued() const { return planned_ - issued_; }
  bool has_failed() const { return failure_.has_value(); }
  /// Nothing is open or planned.
  bool is_complete() const { return planned_ == issued_ && open_ == 0; }
  /// At least one evaluation ended.
  bool has_result() const { return finished_ > 0; }
  /// Every repeat succeeded.
  bool is_full() const { return finished_ == repeats_ && !has_failed(); }
  /// The score can be compared with others: of all repeats, or that of a lost race.
  bool is_comparable() const { return is_full() || lost_with_.has_value(); }
  /// The first objective by repeat, of those that are finished. Needs that none is open, failed or
  /// withdrawn.
  std::vector<double> scores() const;
  /// Needs `has_result()`.
  Verdict verdict() const;

 private:
  struct Failure {
    int repeat = 0;
    Outcome outcome = Outcome::success;
  };

  int repeats_;
  std::string objective_;
  bool is_race_;
  int planned_;
  int queued_ = 0;
  int issued_ = 0;
  int open_ = 0;
  int finished_ = 0;
  std::vector<std::map<std::string, double>> results_;  ///< By repeat; empty where there is none.
  std::optional<Failure> failure_;
  std::optional<double> lost_with_;  ///< The score of a lost race.
};

/// The outcome of an evaluation after its metrics are checked: a success that has a metric which is
/// not finite, or lacks the objective's, is a failure.
Outcome checked_outcome(Outcome outcome, const std::map<std::string, double>& metrics,
                        const std::string& objective);

}  // namespace cambrian::search
