#include "coordinator/search/sequential_policy.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace cambrian::search {

SequentialPolicy::SequentialPolicy(const Settings& settings)
    : generations_max_(settings.generations),
      ranking_(settings.objectives.front().goal),
      children_(settings.children) {}

void SequentialPolicy::add(const Evaluated& variant) {
  const Member member{variant.scored, variant.generation, 0};
  if (seed_.empty()) {
    seed_ = last_ = {member};
    return;
  }
  children_.add(member);
  end_generation();
}

void SequentialPolicy::add_failure(std::span<const VariantNumber> /*parents*/) {
  if (seed_.empty()) return;
  children_.add_failure();
  end_generation();
}

void SequentialPolicy::end_generation() {
  if (!children_.is_complete()) return;
  std::vector<Member> children = children_.take(ranking_);
  if (children.empty()) return;  // Nothing to go on from: once more.
  last_ = std::move(children);
  if (++generation_ < generations_max_) return;
  generation_ = 0;
  last_ = seed_;
}

std::int64_t SequentialPolicy::room(std::int64_t in_flight) const {
  return children_.room(in_flight);
}

Choice SequentialPolicy::choose(const Wish& wish, Rng rng) const {
  CAMBRIAN_ASSERT(!last_.empty());
  std::vector<Member> drawn = last_;
  rng.shuffle(drawn);
  Choice choice;
  choice.shows_failures = false;
  const std::size_t parents = std::min(wish.parents, drawn.size());
  const std::size_t all = std::min(parents + wish.inspirations, drawn.size());
  for (std::size_t i = 0; i < all; ++i) {
    if (i < parents) {
      choice.parents.push_back(drawn[i]);
    } else {
      choice.inspirations.push_back(drawn[i].scored.variant);
    }
  }
  return choice;
}

std::vector<std::vector<Member>> SequentialPolicy::members() const { return {last_}; }

}  // namespace cambrian::search
