#include "coordinator/search/clade_policy.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/base/assert.hpp"

namespace cambrian::search {
namespace {

/// The largest weight: a million of them are far from overflow.
constexpr double kWeightScale = 4294967296.0;

}  // namespace

CladePolicy::CladePolicy(const Settings& settings)
    : settings_(settings), ranking_(settings.objectives.front().goal) {}

void CladePolicy::add(const Evaluated& variant) {
  const Member member{variant.scored, variant.generation, 0};
  const bool is_success = enter_best(variant.scored);
  add_elite(member);
  Node node;
  node.member = member;
  if (!variant.parents.empty()) node.parent = find_node(variant.parents.front());
  nodes_.push_back(node);
  const auto number = static_cast<std::size_t>(variant.scored.variant.value);
  if (places_.size() <= number) places_.resize(number + 1);
  places_[number] = nodes_.size();
  // A new leaf of the Fenwick tree is the sum of the subtrees that it closes; its own weight is 0.
  const std::size_t leaf = nodes_.size();
  std::uint64_t closed = 0;
  for (std::size_t i = leaf - 1; i > leaf - (leaf & -leaf); i -= i & -i) closed += weights_[i - 1];
  weights_.push_back(closed);
  count_at(leaf - 1, 1, is_success);
  count_trial(variant.parents, is_success);
}

void CladePolicy::add_failure(std::span<const VariantNumber> parents) {
  count_trial(parents, false);
}

/// True if the variant belongs to the best share of all, itself included.
bool CladePolicy::enter_best(const Scored& scored) {
  const auto is_worse_last = [this](const Scored& a, const Scored& b) { return ranking_(a, b); };
  const auto is_best_last = [this](const Scored& a, const Scored& b) { return ranking_(b, a); };
  const auto move_top = [](auto& from, const auto& from_order, auto& to, const auto& to_order) {
    std::ranges::pop_heap(from, from_order);
    to.push_back(from.back());
    from.pop_back();
    std::ranges::push_heap(to, to_order);
  };
  best_.push_back(scored);
  std::ranges::push_heap(best_, is_worse_last);
  const double share = kSuccessRatio * static_cast<double>(best_.size() + rest_.size());
  const auto wanted = static_cast<std::size_t>(std::ceil(share));
  move_top(best_, is_worse_last, rest_, is_best_last);
  if (best_.size() < wanted) move_top(rest_, is_best_last, best_, is_worse_last);
  return !ranking_(best_.front(), scored);
}

void CladePolicy::add_elite(const Member& member) {
  if (elites_.size() == kElitesMax) {
    if (!ranking_(member.scored, elites_.back().scored)) return;
    elites_.pop_back();
  }
  const auto place = std::ranges::lower_bound(elites_, member.scored, ranking_, &Member::scored);
  elites_.insert(place, member);
}

void CladePolicy::count_trial(std::span<const VariantNumber> parents, bool is_success) {
  for (std::size_t i = 0; i < parents.size(); ++i) {
    std::optional<std::size_t> place = find_node(parents[i]);
    if (!place) continue;
    ++nodes_[*place].children;
    double share = kDiscount;
    // Only the first parent's line counts further up: a crossover is one trial, not two.
    const int steps = i == 0 ? kAncestorsMax : 1;
    for (int step = 0; place && step < steps; ++step) {
      count_at(*place, share, is_success);
      share *= kDiscount;
      place = nodes_[*place].parent;
    }
  }
}

void CladePolicy::count_at(std::size_t place, double share, bool is_success) {
  nodes_[place].trials += share;
  if (is_success) nodes_[place].successes += share;
  update_weight(place);
}

void CladePolicy::update_weight(std::size_t place) {
  Node& node = nodes_[place];
  const double worth =
      (node.successes + kPriorTrials * kSuccessRatio) / (node.trials + kPriorTrials);
  double power = 1;
  for (int i = 0; i < kPressure; ++i) power *= worth;
  const double share = power / static_cast<double>(1 + node.children);
  const auto weight = static_cast<std::uint64_t>(share * kWeightScale) + 1;
  const std::uint64_t change = weight - node.weight;  // Wraps where it falls, and back in the sums.
  node.weight = weight;
  for (std::size_t i = place + 1; i <= weights_.size(); i += i & -i) weights_[i - 1] += change;
}

std::size_t CladePolicy::pick_parent(Rng& rng) const {
  if (!rng.chance(settings_.exploitation)) return rng.below(nodes_.size());
  std::uint64_t total = 0;
  for (std::size_t i = weights_.size(); i > 0; i -= i & -i) total += weights_[i - 1];
  std::uint64_t rest = rng.below(total);
  std::size_t place = 0;
  for (std::size_t step = std::bit_floor(weights_.size()); step > 0; step /= 2) {
    if (place + step <= weights_.size() && weights_[place + step - 1] <= rest) {
      place += step;
      rest -= weights_[place - 1];
    }
  }
  return place;
}

Choice CladePolicy::choose(const Wish& wish, Rng rng) const {
  CAMBRIAN_ASSERT(!nodes_.empty());
  Choice choice;
  if (wish.wants_leader) {
    choice.parents.push_back(elites_.front());
    return choice;
  }
  const std::size_t first = pick_parent(rng);
  choice.parents.push_back(nodes_[first].member);
  if (wish.parents > 1 && nodes_.size() > 1) {
    std::size_t other = pick_parent(rng);
    if (other == first) other = (first + 1 + rng.below(nodes_.size() - 1)) % nodes_.size();
    choice.parents.push_back(nodes_[other].member);
  }
  choice.inspirations = pick_inspirations(elites_, choice.parents, wish.inspirations, rng);
  return choice;
}

std::optional<std::size_t> CladePolicy::find_node(VariantNumber variant) const {
  const auto number = static_cast<std::size_t>(variant.value);
  if (number >= places_.size() || places_[number] == 0) return std::nullopt;
  return places_[number] - 1;
}

std::vector<std::vector<Member>> CladePolicy::members() const {
  std::vector<Member> all;
  all.reserve(nodes_.size());
  for (const Node& node : nodes_) all.push_back(node.member);
  std::ranges::sort(all, ranking_, &Member::scored);
  return {all};
}

}  // namespace cambrian::search
