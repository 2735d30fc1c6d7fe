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
/// - A parent is chosen by rank with probability `exploitation` (rank = n * u^3: the best tenth
/// gets
///   46 % of the draws), else uniformly.
/// - Every `migration_interval` evaluations the best `migration_fraction` of each island (rounded
///   up, at most `kMigrantsMax`) is copied to the next island of a ring. All migrants are picked
///   before the first one lands, so none travels two islands at once; they keep their number and
///   compete for their cell, so nothing is doubled and nothing better is lost.
///
/// Memory: islands * island_size members. `add` costs O(log n) comparisons and one move of at most
/// `island_size` small records; `choose` is constant.
///
/// Source: Mouret and Clune, "Illuminating search spaces by mapping elites" (arXiv 1504.04909).
class IslandsPolicy final : public Policy {
 public:
  static constexpr std::size_t kMigrantsMax = 256;

  explicit IslandsPolicy(const Settings& settings);

  void add(const Evaluated& variant) override;
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
  void migrate();

  Settings settings_;
  Ranking ranking_;
  std::vector<Island> islands_;
};

}  // namespace cambrian::search
