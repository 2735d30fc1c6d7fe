#include <catch2/catch_test_macros.hpp>
#include <functional>
#include <limits>

#include "coordinator/search/settings.hpp"
#include "tests/unit/coordinator/search_driver.hpp"

namespace cambrian::search {
namespace {

struct Case {
  const char* field;
  std::function<void(Settings&)> spoil;
};

const Case kCases[] = {
    {"objectives", [](Settings& s) { s.objectives.clear(); }},
    {"objectives[0].metric", [](Settings& s) { s.objectives[0].metric.clear(); }},
    {"objectives[1].metric", [](Settings& s) { s.objectives.push_back(s.objectives[0]); }},
    {"objectives[0].target",
     [](Settings& s) { s.objectives[0].target = std::numeric_limits<double>::quiet_NaN(); }},
    {"search.islands", [](Settings& s) { s.islands = 0; }},
    {"search.islands", [](Settings& s) { s.islands = kIslandsMax + 1; }},
    {"search.island_size", [](Settings& s) { s.island_size = 0; }},
    {"search.migration_interval", [](Settings& s) { s.migration_interval = 0; }},
    {"search.migration_fraction", [](Settings& s) { s.migration_fraction = 1.1; }},
    {"search.migration_fraction",
     [](Settings& s) { s.migration_fraction = std::numeric_limits<double>::quiet_NaN(); }},
    {"search.reset_interval", [](Settings& s) { s.reset_interval = -1; }},
    {"search.climb_from", [](Settings& s) { s.climb_from = -0.1; }},
    {"search.features", [](Settings& s) { s.features.clear(); }},
    {"search.features[0].metric", [](Settings& s) { s.features[0].metric.clear(); }},
    {"search.features[0].bins", [](Settings& s) { s.features[0].bins = 1; }},
    {"search.features[0].minimum", [](Settings& s) { s.features[0].minimum = 80; }},
    {"search.features[0].minimum", [](Settings& s) { s.features[0].is_logarithmic = true; }},
    {"search.children", [](Settings& s) { s.children = 0; }},
    {"search.generations", [](Settings& s) { s.generations = 0; }},
    {"search.island_size",
     [](Settings& s) {
       s.policy = PolicyKind::pareto;
       s.island_size = kParetoSizeMax + 1;
     }},
    {"search.constraints[0]",
     [](Settings& s) { s.constraints = {{"size", std::nullopt, std::nullopt}}; }},
    {"search.constraints[0].metric",
     [](Settings& s) { s.constraints = {{"", 1.0, std::nullopt}}; }},
    {"search.constraints[0].minimum", [](Settings& s) { s.constraints = {{"size", 2.0, 1.0}}; }},
    {"search.constraints[1].metric",
     [](Settings& s) {
       s.constraints = {{"size", 1.0, std::nullopt}, {"size", 1.0, std::nullopt}};
     }},
    {"search.exploitation", [](Settings& s) { s.exploitation = -0.1; }},
    {"search.selection",
     [](Settings& s) {
       s.policy = PolicyKind::clade;
       s.selection = Selection::novelty;
     }},
    {"search.inspirations", [](Settings& s) { s.inspirations = kContextProgramsMax + 1; }},
    {"search.failures", [](Settings& s) { s.failures = -1; }},
    {"search.operators", [](Settings& s) { s.operators.clear(); }},
    {"search.operators", [](Settings& s) { s.operators = {{Operator::tune, 1}}; }},
    {"search.operators",
     [](Settings& s) {
       s.policy = PolicyKind::clade;
       s.operators = {{Operator::tune, 1}, {Operator::repair, 1}};
     }},
    {"search.operators",
     [](Settings& s) {
       s.policy = PolicyKind::hill_climb;
       s.operators = {{Operator::diff, 1}, {Operator::repair, 1}};
     }},
    {"search.tune_evaluations", [](Settings& s) { s.tune_evaluations = 3; }},
    {"search.operators[0].weight", [](Settings& s) { s.operators[0].weight = 0; }},
    {"search.operators[1].kind", [](Settings& s) { s.operators.push_back(s.operators[0]); }},
    {"codegen.models[0].weight", [](Settings& s) { s.models = {{"m", -1, {}}}; }},
    {"codegen.models[0].temperature", [](Settings& s) { s.models = {{"m", 1, 2.5}}; }},
    {"evaluation.repeats", [](Settings& s) { s.repeats = 0; }},
    {"evaluation.race",
     [](Settings& s) {
       s.repeats = 3;
       s.races = true;
     }},
    {"evaluation.race",
     [](Settings& s) {
       s.repeats = 5;
       s.races = true;
       s.policy = PolicyKind::pareto;
     }},
    {"evaluation.race",
     [](Settings& s) {
       s.repeats = 5;
       s.races = true;
       s.objectives.push_back({"size", Goal::minimize, std::nullopt});
     }},
    {"evaluation.noise_repeats", [](Settings& s) { s.noise_repeats = 1; }},
    {"evaluation.confirm_sigma", [](Settings& s) { s.confirm_sigma = -1; }},
    {"evaluation.confirm_sigma",
     [](Settings& s) { s.confirm_sigma = std::numeric_limits<double>::quiet_NaN(); }},
    {"evaluation.final_repeats", [](Settings& s) { s.final_repeats = -1; }},
    {"evaluation.parallel", [](Settings& s) { s.evaluations_parallel = 0; }},
    {"codegen.variants",
     [](Settings& s) { s.variants_per_proposal = kVariantsPerProposalMax + 1; }},
    {"codegen.parallel", [](Settings& s) { s.proposals_parallel = 0; }},
    {"codegen.output_tokens", [](Settings& s) { s.tokens_reserved = -1; }},
    {"budget", [](Settings& s) { s.budget = {}; }},
    {"budget.evaluations", [](Settings& s) { s.budget.evaluations = -1; }},
    {"budget.tokens", [](Settings& s) { s.budget.tokens = -1; }},
    {"budget.cost_usd", [](Settings& s) { s.budget.cost_micro_usd = -1; }},
    {"budget.gpu_time", [](Settings& s) { s.budget.gpu_time_ms = -1; }},
    {"budget.wall_time", [](Settings& s) { s.budget.wall_time_ms = -1; }},
};

TEST_CASE("validate: names each field that is out of bounds", "[unit][search]") {
  REQUIRE(validate(settings_of(PolicyKind::islands)).empty());
  for (const Case& wrong : kCases) {
    Settings settings = settings_of(PolicyKind::islands);
    wrong.spoil(settings);
    const std::vector<Problem> problems = validate(settings);
    INFO("field=" << wrong.field);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].field == wrong.field);
    CHECK_FALSE(problems[0].description.empty());
  }
}

TEST_CASE("validate: reports all problems at once and says the bounds", "[unit][search]") {
  Settings settings = settings_of();
  settings.islands = 0;
  settings.repeats = 1000;
  const std::vector<Problem> problems = validate(settings);
  REQUIRE(problems.size() == 2);
  CHECK(problems[0] == Problem{"search.islands", "must be from 1 to 64, is 0"});
  CHECK(problems[1] == Problem{"evaluation.repeats", "must be from 1 to 100, is 1000"});
}

TEST_CASE("validate: wants features for islands only", "[unit][search]") {
  Settings settings = settings_of(PolicyKind::hill_climb);
  settings.features.clear();
  CHECK(validate(settings).empty());
}

}  // namespace
}  // namespace cambrian::search
