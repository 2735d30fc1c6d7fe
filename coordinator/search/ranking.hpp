#pragma once

#include "coordinator/search/types.hpp"

namespace cambrian::search {

/// A variant with its score, the metric of the first objective: always finite.
struct Scored {
  VariantNumber variant;
  double score = 0;
  /// How far it is from keeping the constraints; 0: it keeps them, or there are none. Never NaN.
  double violation = 0;
  friend bool operator==(const Scored&, const Scored&) = default;
};

/// The one place that compares scores. A strict weak order, so that containers can sort by it.
class Ranking {
 public:
  explicit Ranking(Goal goal) : goal_(goal) {}

  /// True if `a` ranks before `b`. Constraints come first: a smaller violation outranks any score.
  /// Equal scores rank by number: the older variant stays ahead, and
  /// nothing that merely equals the seed replaces it.
  bool operator()(const Scored& a, const Scored& b) const {
    if (a.violation != b.violation) return a.violation < b.violation;
    if (a.score != b.score) return is_higher(a.score, b.score);
    return a.variant < b.variant;
  }

  /// True if the score is as good as the target or better.
  bool reaches(double score, double target) const {
    return score == target || is_higher(score, target);
  }

 private:
  bool is_higher(double a, double b) const { return goal_ == Goal::maximize ? a > b : a < b; }

  Goal goal_;
};

}  // namespace cambrian::search
