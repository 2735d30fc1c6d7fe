#include "coordinator/search/islands_policy.hpp"

#include <algorithm>
#include <cmath>

#include "common/base/assert.hpp"

namespace cambrian::search {
namespace {

int bin_of(const Feature& feature, double value) {
  if (value <= feature.minimum) return 0;  // Before the logarithm: it needs a positive value.
  if (value >= feature.maximum) return feature.bins - 1;
  const auto scale = [&](double x) { return feature.is_logarithmic ? std::log(x) : x; };
  const double low = scale(feature.minimum);
  const double ratio = (scale(value) - low) / (scale(feature.maximum) - low);
  return std::clamp(static_cast<int>(ratio * feature.bins), 0, feature.bins - 1);
}

}  // namespace

std::int64_t cell_of(const std::vector<Feature>& features, const Evaluated& variant) {
  std::int64_t cell = 0;
  for (const Feature& feature : features) {
    cell = cell * feature.bins +
           bin_of(feature, value_of(feature.metric, variant.source_tokens, variant.metrics)
                               .value_or(feature.minimum));
  }
  return cell;
}

IslandsPolicy::IslandsPolicy(const Settings& settings)
    : settings_(settings),
      ranking_(settings.objectives.front().goal),
      islands_(static_cast<std::size_t>(settings.islands)) {}

void IslandsPolicy::add_failure(std::span<const VariantNumber> parents) {
  if (settings_.selection != Selection::novelty && settings_.selection != Selection::upper_bound) {
    return;
  }
  for (const VariantNumber parent : parents) {
    ++children_[parent];
    ++children_total_;
  }
}

void IslandsPolicy::add(const Evaluated& variant) {
  add_failure(variant.parents);
  const Member member{variant.scored, variant.generation, cell_of(settings_.features, variant)};
  if (variant.island) {
    insert(islands_.at(static_cast<std::size_t>(*variant.island)), member);
    return;
  }
  for (Island& island : islands_) insert(island, member);
}

void IslandsPolicy::insert(Island& island, const Member& member) const {
  const auto held = island.elites.find(member.cell);
  if (held != island.elites.end()) {
    // A variant that is here already does not rank before itself: it is not doubled.
    if (!ranking_(member.scored, held->second)) return;
    erase(island, held->second);
    held->second = member.scored;
  } else {
    island.elites.emplace(member.cell, member.scored);
  }
  const auto place =
      std::ranges::lower_bound(island.ranked, member.scored, ranking_, &Member::scored);
  island.ranked.insert(place, member);
  if (island.ranked.size() > static_cast<std::size_t>(settings_.island_size)) {
    island.elites.erase(island.ranked.back().cell);
    island.ranked.pop_back();
  }
}

void IslandsPolicy::erase(Island& island, const Scored& scored) const {
  const auto place = std::ranges::lower_bound(island.ranked, scored, ranking_, &Member::scored);
  CAMBRIAN_ASSERT(place != island.ranked.end() && place->scored == scored);
  island.ranked.erase(place);
}

void IslandsPolicy::count_evaluations(std::int64_t finished) {
  if (finished % settings_.migration_interval == 0) migrate();
  if (settings_.reset_interval > 0 && finished % settings_.reset_interval == 0) reset();
}

void IslandsPolicy::migrate() {
  if (islands_.size() < 2 || settings_.migration_fraction <= 0) return;
  std::vector<std::vector<Member>> migrants;
  migrants.reserve(islands_.size());
  for (const Island& island : islands_) {
    const auto share = static_cast<std::size_t>(
        std::ceil(settings_.migration_fraction * static_cast<double>(island.ranked.size())));
    const auto count =
        static_cast<std::ptrdiff_t>(std::min({share, kMigrantsMax, island.ranked.size()}));
    migrants.emplace_back(island.ranked.begin(), island.ranked.begin() + count);
  }
  for (std::size_t i = 0; i < islands_.size(); ++i) {
    Island& next = islands_[(i + 1) % islands_.size()];
    for (const Member& member : migrants[i]) insert(next, member);
  }
}

void IslandsPolicy::reset() {
  std::vector<std::size_t> order;  // The best island first; of equals the one before.
  for (std::size_t i = 0; i < islands_.size(); ++i) {
    if (islands_[i].ranked.empty()) return;  // The seed is not evaluated yet.
    order.push_back(i);
  }
  std::ranges::stable_sort(order, ranking_,
                           [&](std::size_t i) { return islands_[i].ranked.front().scored; });
  for (std::size_t place = 0; place < order.size() / 2; ++place) {
    const Member& founder = islands_[order[place]].ranked.front();
    Island& worse = islands_[order[order.size() - 1 - place]];
    worse = {};
    insert(worse, founder);
  }
}

const Member& IslandsPolicy::pick_parent(const Island& island, Rng& rng) const {
  if (!rng.chance(settings_.exploitation)) return rng.pick(island.ranked);
  if (settings_.selection == Selection::tournament) {
    std::uint64_t best = rng.below(island.ranked.size());
    for (int i = 1; i < kTournament; ++i) best = std::min(best, rng.below(island.ranked.size()));
    return island.ranked[best];
  }
  if (settings_.selection != Selection::rank) return pick_by_children(island, rng);
  const double u = rng.uniform();
  const auto size = static_cast<double>(island.ranked.size());
  return island.ranked[static_cast<std::size_t>(size * (u * u * u))];
}

/// What a parent is worth to novelty: a weight; to the upper bound: the bound.
double IslandsPolicy::value_of_parent(const Island& island, std::size_t place) const {
  // Of ShinkaEvolve: how steep the weight is around the median.
  constexpr double kSteepness = 10;
  constexpr double kMedian = 0.5;
  // Ranks are from 0 to 1: with UCB1's own 1.41 children would decide everything.
  constexpr double kExploration = 0.3;
  const auto found = children_.find(island.ranked[place].scored.variant);
  const double children = 1 + (found == children_.end() ? 0.0 : static_cast<double>(found->second));
  const double rank = 1 - static_cast<double>(place) / static_cast<double>(island.ranked.size());
  if (settings_.selection == Selection::novelty) {
    return 1 / (1 + std::exp(-kSteepness * (rank - kMedian))) / children;
  }
  const double trials = 1 + static_cast<double>(children_total_);
  return rank + kExploration * std::sqrt(std::log(trials) / children);
}

/// Constant time: the best and some that are drawn, whatever the size of the island.
const Member& IslandsPolicy::pick_by_children(const Island& island, Rng& rng) const {
  std::size_t chosen = 0;
  double highest = value_of_parent(island, 0);
  double total = highest;
  for (int i = 1; i < kCandidates; ++i) {
    const std::size_t place = rng.below(island.ranked.size());
    const double value = value_of_parent(island, place);
    total += value;
    const bool is_chosen =
        settings_.selection == Selection::novelty ? rng.uniform() * total < value : value > highest;
    if (is_chosen) chosen = place;
    highest = std::max(highest, value);
  }
  return island.ranked[chosen];
}

Choice IslandsPolicy::choose(const Wish& wish, Rng rng) const {
  // In turn and not at random: every island gets its share from the first proposals on.
  const std::int64_t turn = wish.proposal.value % settings_.islands;
  const Island& island = islands_[static_cast<std::size_t>(turn)];
  CAMBRIAN_ASSERT(!island.ranked.empty());
  Choice choice;
  choice.island = static_cast<int>(turn);
  const bool climbs =
      settings_.climb_from > 0 && rng.chance(wish.budget_used / settings_.climb_from);
  choice.parents.push_back(wish.wants_leader || climbs ? island.ranked.front()
                                                       : pick_parent(island, rng));
  if (wish.parents > 1 && island.ranked.size() > 1) {
    const Member* other = &pick_parent(island, rng);
    if (other->scored.variant == choice.parents.front().scored.variant) {
      const auto place = static_cast<std::size_t>(other - island.ranked.data());
      other =
          &island.ranked[(place + 1 + rng.below(island.ranked.size() - 1)) % island.ranked.size()];
    }
    choice.parents.push_back(*other);
  }
  choice.inspirations = pick_inspirations(island.ranked, choice.parents, wish.inspirations, rng);
  return choice;
}

std::vector<std::vector<Member>> IslandsPolicy::members() const {
  std::vector<std::vector<Member>> all;
  all.reserve(islands_.size());
  for (const Island& island : islands_) all.push_back(island.ranked);
  return all;
}

}  // namespace cambrian::search
