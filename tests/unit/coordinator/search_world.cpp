#include "tests/unit/coordinator/search_world.hpp"

namespace cambrian::search {
namespace {

Budget random_budget(Rng& rng) {
  Budget budget;
  do {
    if (rng.chance(0.7)) budget.evaluations = rng.between(1, 60);
    if (rng.chance(0.2)) budget.tokens = rng.between(1, 3000);
    if (rng.chance(0.2)) budget.cost_micro_usd = rng.between(1, 3000);
    if (rng.chance(0.2)) budget.gpu_time_ms = rng.between(1, 3000);
    if (rng.chance(0.2)) budget.wall_time_ms = rng.between(1, 3000);
  } while (budget == Budget{});
  return budget;
}

}  // namespace

Settings random_settings(Rng& rng) {
  Settings settings;
  settings.seed = rng.next();
  const Goal goal = rng.chance(0.5) ? Goal::maximize : Goal::minimize;
  settings.objectives = {{"score", goal, std::nullopt}};
  if (rng.chance(0.2)) settings.objectives[0].target = goal == Goal::maximize ? 0.97 : 0.03;
  settings.policy = rng.pick(std::vector<PolicyKind>{
      PolicyKind::random, PolicyKind::hill_climb, PolicyKind::islands, PolicyKind::islands,
      PolicyKind::sequential, PolicyKind::pareto, PolicyKind::clade});
  if (rng.chance(0.5)) settings.objectives.push_back({"size", Goal::minimize, std::nullopt});
  if (rng.chance(0.2)) settings.constraints = {{"size", std::nullopt, 0.5}};
  settings.islands = static_cast<int>(rng.between(1, 4));
  settings.island_size = static_cast<int>(rng.between(1, 6));
  settings.migration_interval = static_cast<int>(rng.between(1, 10));
  settings.migration_fraction = rng.pick(std::vector<double>{0, 0.1, 0.5, 1});
  if (rng.chance(0.5)) settings.reset_interval = static_cast<int>(rng.between(1, 12));
  if (rng.chance(0.5)) settings.climb_from = 0.1 + rng.uniform();
  settings.features = {{"source_tokens", 4, 1, 100, true}};
  if (rng.chance(0.5)) settings.features.push_back({"size", 3, 0, 1, false});
  settings.children = static_cast<int>(rng.between(1, 5));
  settings.generations = static_cast<int>(rng.between(1, 4));
  settings.operators = {{Operator::diff, 0.5}, {Operator::rewrite, 0.2}, {Operator::crossover, 1}};
  if (rng.chance(0.5)) settings.operators.push_back({Operator::tune, 0.1 + 3 * rng.uniform()});
  settings.tune_evaluations = static_cast<int>(rng.between(4, 30));
  settings.exploitation = rng.uniform();
  settings.inspirations = static_cast<int>(rng.between(0, 3));
  settings.failures = static_cast<int>(rng.between(0, 3));
  settings.repeats = static_cast<int>(rng.chance(0.5) ? 1 : rng.between(2, 4));
  if (rng.chance(0.3)) settings.noise_repeats = static_cast<int>(rng.between(2, 5));
  settings.final_repeats = static_cast<int>(rng.between(0, 2));
  settings.evaluations_parallel = static_cast<int>(rng.between(1, 9));
  settings.proposals_parallel = static_cast<int>(rng.between(1, 4));
  settings.variants_per_proposal = static_cast<int>(rng.between(1, 4));
  settings.models = {{"small", 3, 0.8}, {"large", 1, std::nullopt}};
  settings.tokens_reserved = rng.chance(0.5) ? 0 : 100;
  settings.cost_reserved_micro_usd = rng.chance(0.5) ? 0 : 100;
  settings.budget = random_budget(rng);
  if (!validate(settings).empty()) settings.noise_repeats = 0;  // The budget is too small for it.
  return settings;
}

}  // namespace cambrian::search
