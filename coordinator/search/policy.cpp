#include "coordinator/search/policy.hpp"

#include <algorithm>
#include <cmath>

#include "common/base/assert.hpp"
#include "coordinator/search/clade_policy.hpp"
#include "coordinator/search/hill_climb_policy.hpp"
#include "coordinator/search/islands_policy.hpp"
#include "coordinator/search/pareto_policy.hpp"
#include "coordinator/search/random_policy.hpp"
#include "coordinator/search/sequential_policy.hpp"

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
    {PolicyKind::random, make<RandomPolicy>},   {PolicyKind::hill_climb, make<HillClimbPolicy>},
    {PolicyKind::islands, make<IslandsPolicy>}, {PolicyKind::sequential, make<SequentialPolicy>},
    {PolicyKind::pareto, make<ParetoPolicy>},   {PolicyKind::clade, make<CladePolicy>},
};

}  // namespace

std::unique_ptr<Policy> make_policy(const Settings& settings) {
  const auto* entry = std::ranges::find(kPolicies, settings.policy,
                                        [](const auto& candidate) { return candidate.kind; });
  CAMBRIAN_ASSERT(entry != std::end(kPolicies));
  return entry->make(settings);
}

std::optional<double> value_of(const std::string& metric, std::int64_t source_tokens,
                               const std::map<std::string, double>& metrics) {
  if (metric == "source_tokens") return static_cast<double>(source_tokens);
  const auto found = metrics.find(metric);
  if (found == metrics.end()) return std::nullopt;
  return found->second;
}

double violation_of(const std::vector<Constraint>& constraints, std::int64_t source_tokens,
                    const std::map<std::string, double>& metrics) {
  double sum = 0;
  for (const Constraint& constraint : constraints) {
    const auto value = value_of(constraint.metric, source_tokens, metrics);
    if (!value) return std::numeric_limits<double>::infinity();
    const auto add = [&](double excess, double bound) {
      if (excess > 0) sum += excess / std::max(1.0, std::abs(bound));
    };
    if (constraint.minimum) add(*constraint.minimum - *value, *constraint.minimum);
    if (constraint.maximum) add(*value - *constraint.maximum, *constraint.maximum);
  }
  return sum;
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
