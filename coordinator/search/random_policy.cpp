#include "coordinator/search/random_policy.hpp"

#include "common/base/assert.hpp"

namespace cambrian::search {

void RandomPolicy::add(const Evaluated& variant) {
  if (!seed_) seed_ = Member{variant.scored, variant.generation, 0};
}

Choice RandomPolicy::choose(const Wish& /*wish*/, Rng /*rng*/) const {
  CAMBRIAN_ASSERT(seed_.has_value());
  return {.parents = {*seed_}, .inspirations = {}, .island = {}, .shows_failures = false};
}

std::vector<std::vector<Member>> RandomPolicy::members() const {
  if (!seed_) return {{}};
  return {{*seed_}};
}

}  // namespace cambrian::search
