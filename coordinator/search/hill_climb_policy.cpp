#include "coordinator/search/hill_climb_policy.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace cambrian::search {

HillClimbPolicy::HillClimbPolicy(const Settings& settings)
    : ranking_(settings.objectives.front().goal), children_(settings.children) {}

void HillClimbPolicy::add(const Evaluated& variant) {
  const Member member{variant.scored, variant.generation, 0};
  if (ranked_.empty()) {  // The seed is the first incumbent and nobody's child.
    ranked_.push_back(member);
    return;
  }
  children_.add(member);
  end_generation();
}

void HillClimbPolicy::add_failure(std::span<const VariantNumber> /*parents*/) {
  if (ranked_.empty()) return;
  children_.add_failure();
  end_generation();
}

void HillClimbPolicy::end_generation() {
  if (!children_.is_complete()) return;
  const std::vector<Member> children = children_.take(ranking_);
  ranked_.insert(ranked_.end(), children.begin(), children.end());
  std::ranges::sort(ranked_, ranking_, &Member::scored);
  if (ranked_.size() > 1 + kRunnersUpMax) ranked_.resize(1 + kRunnersUpMax);
}

std::int64_t HillClimbPolicy::room(std::int64_t in_flight) const {
  return children_.room(in_flight);
}

Choice HillClimbPolicy::choose(const Wish& wish, Rng rng) const {
  CAMBRIAN_ASSERT(!ranked_.empty());
  Choice choice;
  choice.parents.push_back(ranked_.front());
  if (wish.parents > 1 && ranked_.size() > 1) {
    choice.parents.push_back(ranked_[1 + rng.below(ranked_.size() - 1)]);
  }
  choice.inspirations = pick_inspirations(ranked_, choice.parents, wish.inspirations, rng);
  return choice;
}

std::vector<std::vector<Member>> HillClimbPolicy::members() const { return {ranked_}; }

}  // namespace cambrian::search
