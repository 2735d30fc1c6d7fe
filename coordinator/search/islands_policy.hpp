#pragma once

#include <map>

#include "coordinator/search/policy.hpp"

namespace cambrian::search {

/// The cell of a grid for one variant. `source_tokens` is a feature of its own; any other name is a
/// metric, and a variant that lacks it goes into the first bin.
std::int64_t cell_of(const std::vector<Feature>& features, const Evaluated& variant);

/// MAP-Elites on several islands.
///
/// - An island keeps one elite for each cell of the feature grid, and at most `island_size` of
/// them:
///   when there is one too many, the worst one goes. The best one of an island never does.
/// - The seed starts on every island. Proposals visit the islands in turn; parents and inspirations
///   come from one island and the child is born there.
/// - A parent is chosen by its rank with probability `exploitation`, else uniformly. By its rank
///   means by `selection`: a power of it (rank = n * u^3: the best tenth gets 46 % of the draws);
///   the best of `kTournament` drawn ones; or, of the best and drawn ones, `kCandidates` together,
///   with a weight that falls with the number of its children (novelty), or by the highest upper
///   confidence bound.
/// - The more of the budget is used, the less is left to profit from what exploring finds: the
///   probability that the first parent is the best of its island instead rises evenly, from 0 to 1
///   when the share `climb_from` of it is used (0: it does not).
/// - Every `migration_interval` evaluations the best `migration_fraction` of each island (rounded
///   up, at most `kMigrantsMax`) is copied to the next island of a ring. All migrants are picked
///   before the first one lands, so none travels two islands at once; they keep their number and
///   compete for their cell, so nothing is doubled and nothing better is lost.
///
/// - Every `reset_interval` evaluations (0: never) the worse half of the islands, by their best, is
///   emptied and begins anew: the worst one with the best variant of the best island, the second
///   worst with that of the second best, and so on. An island whose best is that variant already
///   lives on. The best variant of all is never lost.
///
/// Children are variants that were evaluated or failed, on any island, samples of `tune` included;
/// those in flight and duplicates do not count.
///
/// Memory: islands * island_size members, and for `novelty` and `upper_bound` a number for each
/// variant that was ever a parent. `add` costs O(log n) comparisons and one move of at most
/// `island_size` small records; `choose` is constant.
///
/// Novelty weighs as ShinkaEvolve (arXiv 2509.19349) does, with the rank in the place of the score;
/// the bound has the form of UCB1's (Auer et al., Machine Learning 47, 2002).
/// Sources: Mouret and Clune, "Illuminating search spaces by mapping elites" (arXiv 1504.04909);
/// resets as in Romera-Paredes et al., "Mathematical discoveries from program search with large
/// language models" (Nature 625, 2024).
class IslandsPolicy final : public Policy {
 public:
  static constexpr std::size_t kMigrantsMax = 256;
  static constexpr int kTournament = 4;
  static constexpr int kCandidates = 16;

  explicit IslandsPolicy(const Settings& settings);

  void add(const Evaluated& variant) override;
  void add_failure(std::span<const VariantNumber> parents) override;
  void count_evaluations(std::int64_t finished) override;
  Choice choose(const Wish& wish, Rng rng) const override;
  std::vector<std::vector<Member>> members() const override;

 private:
  struct Island {
    std::vector<Member> ranked;             ///< The best first.
    std::map<std::int64_t, Scored> elites;  ///< By cell: the same members.
  };

  void insert(Island& island, const Member& member) const;
  void erase(Island& island, const Scored& scored) const;
  const Member& pick_parent(const Island& island, Rng& rng) const;
  const Member& pick_by_children(const Island& island, Rng& rng) const;
  double value_of_parent(const Island& island, std::size_t place) const;
  void migrate();
  void reset();

  Settings settings_;
  Ranking ranking_;
  std::vector<Island> islands_;
  // Only where the selection asks for them.
  std::map<VariantNumber, std::int64_t> children_;
  std::int64_t children_total_ = 0;
};

}  // namespace cambrian::search
