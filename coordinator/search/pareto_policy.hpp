#pragma once

#include "coordinator/search/policy.hpp"

namespace cambrian::search {

/// Several objectives at once: non-dominated sorting with crowding, one variant after the other.
///
/// - One variant dominates another when it violates the constraints less, or as much and is at
///   least as good in every objective and better in one. A metric that is missing is worse than
///   any.
/// - Fronts: the first holds what nothing dominates, the next what only the first dominates, and so
///   on. Within a front a variant ranks before another when its neighbours are further away
///   (crowding distance: the gap between its neighbours in each objective over the front's range);
///   the ends of a front come first.
/// - A parent is drawn by rank with probability `exploitation` (rank = n * u^3, as on islands),
/// else
///   any is. The better of two, as in the source, presses too little for campaigns of some hundred
///   evaluations.
/// - At most `island_size` variants are kept: the most crowded of the last front goes. One that
///   equals a kept one in every objective does not enter. A variant of the best score (first
///   objective) always stays: it ends the first front.
///
/// The best variant of the campaign is still that of the first objective. With one objective this
/// is a population under tournament selection.
///
/// Memory: island_size members. `add` costs O(island_size * objectives) comparisons and the sorting
/// of the fronts that it touched; `choose` is constant.
///
/// Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (IEEE TEC 6,
/// 2002), constrained domination as in its section VI; one variant at a time as in Li et al.,
/// "Efficient non-domination level update" (IEEE Trans. Cybernetics 47, 2017).
class ParetoPolicy final : public Policy {
 public:
  explicit ParetoPolicy(const Settings& settings);

  void add(const Evaluated& variant) override;
  Choice choose(const Wish& wish, Rng rng) const override;
  /// `Member::cell` is the number of the front, from 0.
  std::vector<std::vector<Member>> members() const override;

 private:
  struct Point {
    Member member;
    std::vector<double> losses;  ///< By objective; smaller is better.
    double crowding = 0;
  };
  using Front = std::vector<Point>;

  Point point_of(const Evaluated& variant) const;
  void insert(Point point);
  void sort_by_crowding(Front& front) const;
  void drop_worst();
  std::size_t pick_parent(Rng& rng) const;

  Settings settings_;
  Ranking ranking_;
  std::vector<Front> fronts_;
  std::vector<Member> ranked_;  ///< All members: by front, the least crowded first.
};

}  // namespace cambrian::search
