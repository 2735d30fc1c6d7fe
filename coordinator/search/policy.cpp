#include "coordinator/search/policy.hpp"

#include <algorithm>

#include "common/base/assert.hpp"
#include "coordinator/search/hill_climb_policy.hpp"
#include "coordinator/search/islands_policy.hpp"
#include "coordinator/search/random_policy.hpp"

namespace cambrian::search {
namespace {

template <class P>
std::unique_ptr<Policy> make(const Settings& settings) {
  return std::make_unique<P>(settings);
}

constexpr struct {
  PolicyKind kind;
  std::unique_ptr<Policy> (*make)(const Settings&);
} kPolicies[] = {
    {PolicyKind::random, make<RandomPolicy>},
    {PolicyKind::hill_climb, make<HillClimbPolicy>},
    {PolicyKind::islands, make<IslandsPolicy>},
};

}  // namespace

std::unique_ptr<Policy> make_policy(const Settings& settings) {
  const auto* entry = std::ranges::find(kPolicies, settings.policy,
                                        [](const auto& candidate) { return candidate.kind; });
  CAMBRIAN_ASSERT(entry != std::end(kPolicies));
  return entry->make(settings);
}

std::vector<VariantNumber> pick_inspirations(std::span<const Member> ranked,
                                             std::span<const Member> parents, std::size_t count,
                                             Rng& rng) {
  std::vector<VariantNumber> picked;
  const auto is_free = [&](VariantNumber variant) {
    const auto is_it = [&](const Member& parent) { return parent.scored.variant == variant; };
    return std::ranges::none_of(parents, is_it) && std::ranges::count(picked, variant) == 0;
  };
  const std::size_t best_count = (count + 1) / 2;
  for (std::size_t i = 0; i < ranked.size() && picked.size() < best_count; ++i) {
    if (is_free(ranked[i].scored.variant)) picked.push_back(ranked[i].scored.variant);
  }
  while (picked.size() < count) {
    // From a random place on to the next free one: few steps, as few are taken.
    const std::size_t start = rng.below(ranked.size());
    std::size_t step = 0;
    const auto at = [&](std::size_t s) { return ranked[(start + s) % ranked.size()].scored; };
    while (step < ranked.size() && !is_free(at(step).variant)) ++step;
    if (step == ranked.size()) break;
    picked.push_back(at(step).variant);
  }
  return picked;
}

}  // namespace cambrian::search
