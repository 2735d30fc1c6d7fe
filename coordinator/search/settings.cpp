#include "coordinator/search/settings.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "coordinator/search/race.hpp"

namespace cambrian::search {
namespace {

/// Fifty generations of eight. On the lands of search_landscape_test hill climbing is at its top
/// then, or stuck.
constexpr std::int64_t kEvaluationsOfIsland = 400;

class Checker {
 public:
  void require(bool is_fine, std::string field, std::string description) {
    if (!is_fine) problems_.push_back({std::move(field), std::move(description)});
  }

  template <class T>
  void within(T value, T low, T high, const char* field) {
    require(value >= low && value <= high, field,
            "must be from " + std::to_string(low) + " to " + std::to_string(high) + ", is " +
                std::to_string(value));
  }

  std::vector<Problem> take() { return std::move(problems_); }

 private:
  std::vector<Problem> problems_;
};

std::string item(const char* list, std::size_t i) {
  return std::string(list) + "[" + std::to_string(i) + "]";
}

bool is_positive(double weight) { return std::isfinite(weight) && weight > 0; }

void check_objectives(const Settings& settings, Checker& check) {
  check.require(!settings.objectives.empty() && settings.objectives.size() <= kObjectivesMax,
                "objectives",
                "must be 1 to " + std::to_string(kObjectivesMax) + ", the first one ranks");
  std::set<std::string> names;
  for (std::size_t i = 0; i < settings.objectives.size(); ++i) {
    const Objective& objective = settings.objectives[i];
    const std::string field = item("objectives", i);
    check.require(!objective.metric.empty(), field + ".metric", "must name a metric");
    check.require(names.insert(objective.metric).second, field + ".metric",
                  "is named twice: " + objective.metric);
    check.require(!objective.target || std::isfinite(*objective.target), field + ".target",
                  "must be finite");
  }
}

void check_features(const Settings& settings, Checker& check) {
  const bool is_needed = settings.policy == PolicyKind::islands;
  check.require(
      settings.features.size() <= kFeaturesMax && !(is_needed && settings.features.empty()),
      "search.features",
      "must be 1 to " + std::to_string(kFeaturesMax) + " for the policy islands");
  std::set<std::string> names;
  for (std::size_t i = 0; i < settings.features.size(); ++i) {
    const Feature& feature = settings.features[i];
    const std::string field = item("search.features", i);
    check.require(!feature.metric.empty(), field + ".metric", "must name a metric");
    check.require(names.insert(feature.metric).second, field + ".metric",
                  "is named twice: " + feature.metric);
    check.within(feature.bins, kBinsMin, kBinsMax, (field + ".bins").c_str());
    check.require(
        feature.minimum < feature.maximum && std::isfinite(feature.maximum - feature.minimum),
        field + ".minimum", "must be less than the maximum, their distance finite");
    check.require(!feature.is_logarithmic || feature.minimum > 0, field + ".minimum",
                  "must be positive on a logarithmic scale");
  }
}

void check_constraints(const Settings& settings, Checker& check) {
  check.require(settings.constraints.size() <= kConstraintsMax, "search.constraints",
                "must be at most " + std::to_string(kConstraintsMax));
  std::set<std::string> names;
  for (std::size_t i = 0; i < settings.constraints.size(); ++i) {
    const Constraint& constraint = settings.constraints[i];
    const std::string field = item("search.constraints", i);
    const auto is_fine = [](const std::optional<double>& bound) {
      return !bound || std::isfinite(*bound);
    };
    check.require(!constraint.metric.empty(), field + ".metric", "must name a metric");
    check.require(names.insert(constraint.metric).second, field + ".metric",
                  "is named twice: " + constraint.metric);
    check.require(constraint.minimum || constraint.maximum, field,
                  "must have a minimum, a maximum or both");
    check.require(is_fine(constraint.minimum) && is_fine(constraint.maximum), field,
                  "must have finite bounds");
    check.require(
        !constraint.minimum || !constraint.maximum || *constraint.minimum <= *constraint.maximum,
        field + ".minimum", "must not be above the maximum");
  }
}

void check_shares(const Settings& settings, Checker& check) {
  check.require(!settings.operators.empty(), "search.operators", "must name at least one");
  std::set<Operator> kinds;
  for (std::size_t i = 0; i < settings.operators.size(); ++i) {
    const std::string field = item("search.operators", i);
    check.require(kinds.insert(settings.operators[i].kind).second, field + ".kind",
                  "is named twice");
    check.require(is_positive(settings.operators[i].weight), field + ".weight",
                  "must be positive and finite");
  }
  check.require(may_repair(settings.policy) || !kinds.contains(Operator::repair),
                "search.operators",
                "must not name repair for the policies random, sequential and hill_climb: their "
                "variants come from the seed, the last generation and the incumbent alone");
  kinds.erase(Operator::tune);
  kinds.erase(Operator::repair);
  check.require(settings.operators.empty() || !kinds.empty(), "search.operators",
                "must name another one beside tune and repair, which do not always have something "
                "to do");
  check.require(settings.models.size() <= kModelsMax, "codegen.models",
                "must be at most " + std::to_string(kModelsMax));
  for (std::size_t i = 0; i < settings.models.size(); ++i) {
    const ModelShare& model = settings.models[i];
    const std::string field = item("codegen.models", i);
    check.require(is_positive(model.weight), field + ".weight", "must be positive and finite");
    check.require(
        !model.temperature || (*model.temperature >= 0 && *model.temperature <= kTemperatureMax),
        field + ".temperature", "must be from 0 to 2");
  }
}

void check_budget(const Settings& settings, Checker& check) {
  const Budget& budget = settings.budget;
  check.require(budget.evaluations >= 0, "budget.evaluations", "must not be negative");
  check.require(budget.tokens >= 0, "budget.tokens", "must not be negative");
  check.require(budget.cost_micro_usd >= 0, "budget.cost_usd", "must not be negative");
  check.require(budget.gpu_time_ms >= 0, "budget.gpu_time", "must not be negative");
  check.require(budget.wall_time_ms >= 0, "budget.wall_time", "must not be negative");
  check.require(!(budget == Budget{}), "budget",
                "must have at least one of evaluations, tokens, cost_usd, gpu_time, wall_time");
  check.require(settings.tokens_reserved >= 0, "codegen.output_tokens",
                "reserves a negative number of tokens");
  check.require(settings.cost_reserved_micro_usd >= 0, "codegen.output_tokens",
                "reserves a negative cost");
}

}  // namespace

int default_islands(std::int64_t evaluations) {
  constexpr int kIslandsDefault = 4;
  if (evaluations == 0) return kIslandsDefault;
  return static_cast<int>(
      std::clamp<std::int64_t>(evaluations / kEvaluationsOfIsland, 1, kIslandsDefault));
}

int default_reset_interval(std::int64_t evaluations, int islands) {
  constexpr std::int64_t kQuarters = 4;
  const std::int64_t interval =
      evaluations == 0 ? kEvaluationsOfIsland * islands : evaluations / kQuarters;
  return static_cast<int>(std::clamp<std::int64_t>(interval, 1, kResetIntervalMax));
}

bool may_repair(PolicyKind policy) {
  return policy == PolicyKind::islands || policy == PolicyKind::pareto ||
         policy == PolicyKind::clade;
}

std::vector<Problem> validate(const Settings& settings) {
  Checker check;
  check_objectives(settings, check);
  check.within(settings.islands, 1, kIslandsMax, "search.islands");
  check.within(settings.island_size, 1, kIslandSizeMax, "search.island_size");
  check.within(settings.migration_interval, 1, kMigrationIntervalMax, "search.migration_interval");
  check.within(settings.migration_fraction, 0.0, 1.0, "search.migration_fraction");
  check.within(settings.reset_interval, 0, kResetIntervalMax, "search.reset_interval");
  check.within(settings.climb_from, 0.0, kClimbFromMax, "search.climb_from");
  check_features(settings, check);
  check.require(settings.policy != PolicyKind::pareto || settings.island_size <= kParetoSizeMax,
                "search.island_size",
                "must be at most " + std::to_string(kParetoSizeMax) + " for the policy pareto");
  check.within(settings.children, 1, kChildrenMax, "search.children");
  check.within(settings.generations, 1, kGenerationsMax, "search.generations");
  check_constraints(settings, check);
  check.within(settings.tune_evaluations, kTuneEvaluationsMin, kTuneEvaluationsMax,
               "search.tune_evaluations");
  check.within(settings.exploitation, 0.0, 1.0, "search.exploitation");
  check.require(settings.selection == Selection::rank || settings.policy == PolicyKind::islands,
                "search.selection", "is for the policy islands alone");
  check.within(settings.inspirations, 0, kContextProgramsMax, "search.inspirations");
  check.within(settings.failures, 0, kContextProgramsMax, "search.failures");
  check_shares(settings, check);
  check.within(settings.repeats, 1, kRepeatsMax, "evaluation.repeats");
  const std::size_t first_look = settings.noise_repeats > 0 ? kFirstLookKnown : kFirstLook;
  check.require(!settings.races || settings.repeats > static_cast<int>(first_look),
                "evaluation.race",
                "needs evaluation.repeats of at least 4, or 2 with evaluation.noise_repeats");
  check.require(
      !settings.races || (settings.objectives.size() == 1 && settings.policy != PolicyKind::pareto),
      "evaluation.race", "is for tasks with one objective, and not for the policy pareto");
  check.within(settings.noise_repeats, 0, kRepeatsMax, "evaluation.noise_repeats");
  check.require(settings.noise_repeats != 1, "evaluation.noise_repeats",
                "must be 0 or at least 2: one value has no deviation");
  check.require(settings.noise_repeats == 0 || settings.budget.evaluations == 0 ||
                    settings.repeats + settings.noise_repeats < settings.budget.evaluations,
                "evaluation.noise_repeats",
                "must leave evaluations for variants: with evaluation.repeats below "
                "budget.evaluations");
  check.within(settings.final_repeats, 0, kRepeatsMax, "evaluation.final_repeats");
  check.within(settings.confirm_sigma, 0.0, kConfirmSigmaMax, "evaluation.confirm_sigma");
  check.within(settings.evaluations_parallel, 1, kEvaluationsParallelMax, "evaluation.parallel");
  check.within(settings.variants_per_proposal, 1, kVariantsPerProposalMax, "codegen.variants");
  check.within(settings.proposals_parallel, 1, kProposalsParallelMax, "codegen.parallel");
  check_budget(settings, check);
  return check.take();
}

}  // namespace cambrian::search
