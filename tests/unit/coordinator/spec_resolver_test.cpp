#include "coordinator/adapters/grpc/spec_resolver.hpp"

#include <catch2/catch_test_macros.hpp>
#include <cctype>
#include <set>
#include <tuple>

#include "common/task/campaign.hpp"
#include "common/task/task_folder.hpp"
#include "coordinator/ports/words.hpp"

using namespace cambrian;
using namespace cambrian::coordinator;

namespace {

std::string text_of(int size) { return std::string(static_cast<std::size_t>(size), 'x'); }

spec::v1::TaskManifest make_task() {
  spec::v1::TaskManifest task;
  task.set_name("task");
  task.mutable_candidate()->set_runtime(spec::v1::RUNTIME_LIBTORCH);
  auto* objective = task.add_objectives();
  objective->set_metric("accuracy");
  objective->set_goal(spec::v1::GOAL_MAXIMIZE);
  objective->set_target(0.99);
  (*task.mutable_parameters())["seconds"] = 5;
  task.mutable_limits()->mutable_run_time()->set_seconds(60);
  task.mutable_limits()->set_gpus(1);
  return task;
}

wire::SeedFacts make_seed() {
  return {.files = {{"model.cpp", std::string(64, 'b')}},
          .token_digest = std::string(64, 'c'),
          .source_tokens = 400,
          .source_bytes = 3'000};
}

spec::v1::CampaignSpec make_spec() {
  spec::v1::CampaignSpec spec;
  spec.set_api_version("cambrian/v1");
  spec.set_kind("Campaign");
  spec.set_name("name");
  spec.mutable_task()->set_digest(std::string(64, 'a'));
  spec.mutable_budget()->set_evaluations(10);
  return spec;
}

std::set<std::string> fields(const wire::Problems& problems) {
  std::set<std::string> names;
  for (const auto& problem : problems) names.insert(problem.field);
  return names;
}

}  // namespace

TEST_CASE("spec_resolver: fills in what the comments promise", "[unit][coordinator]") {
  const auto task = make_task();
  auto spec = make_spec();
  wire::fill_defaults(task, make_seed(), spec);
  CHECK(wire::check_spec(task, make_seed(), spec).empty());
  CHECK(spec.seed() == 1);
  CHECK(spec.priority() == 50);
  CHECK(spec.search().policy() == spec::v1::POLICY_ISLANDS);
  CHECK(spec.search().islands() == 1);
  CHECK(spec.search().island_size() == 60);
  CHECK(spec.search().migration_interval() == 40);
  CHECK(spec.search().climb_from() == 0.1);
  CHECK(spec.search().operators_size() == 3);
  CHECK_FALSE(spec.search().learn_shares());
  REQUIRE(spec.search().features_size() == 1);
  CHECK(spec.search().features(0).metric() == "source_tokens");
  CHECK(spec.search().features(0).bins() == 8);
  CHECK(spec.search().features(0).minimum() == 100);
  CHECK(spec.search().features(0).maximum() == 1600);
  CHECK(spec.evaluation().repeats() == 1);
  CHECK(spec.evaluation().final_repeats() == 3);
  CHECK(spec.evaluation().confirm_sigma() == 3);
  CHECK(spec.evaluation().parallel() == 4);
  CHECK(spec.codegen().output_tokens() == 4096);
  CHECK(spec.codegen().variants() == 1);
  CHECK(spec.codegen().parallel() == 8);
  CHECK(spec.task().parameters().at("seconds") == 5);
  // Filling in twice changes nothing: a resolved spec can be submitted again.
  auto again = spec;
  wire::fill_defaults(task, make_seed(), again);
  CHECK(task::serialize(again) == task::serialize(spec));
}

TEST_CASE("spec_resolver: early_stop gets its defaults, and needs a judge that asks",
          "[unit][coordinator]") {
  auto task = make_task();
  auto spec = make_spec();
  wire::fill_defaults(task, make_seed(), spec);
  CHECK_FALSE(spec.evaluation().has_early_stop());
  CHECK_FALSE(wire::make_definition(task, make_seed(), spec).early_stop);
  spec.mutable_evaluation()->mutable_early_stop();
  wire::fill_defaults(task, make_seed(), spec);
  CHECK(fields(wire::check_spec(task, make_seed(), spec)) ==
        std::set<std::string>{"spec.evaluation.early_stop"});
  task.mutable_judge()->set_rung_metric("accuracy");
  CHECK(wire::check_spec(task, make_seed(), spec).empty());
  CHECK(wire::make_definition(task, make_seed(), spec).early_stop == search::EarlyStop{});
  auto* rule = spec.mutable_evaluation()->mutable_early_stop();
  rule->set_rule(spec::v1::EARLY_STOP_RULE_HALVING);
  CHECK(wire::make_definition(task, make_seed(), spec).early_stop->rule ==
        search::EarlyStopRule::halving);
  rule->set_rule(static_cast<spec::v1::EarlyStopRule>(99));
  rule->add_rungs(0.5);
  rule->set_minimum(1);
  rule->set_keep(1);
  CHECK(fields(wire::check_spec(task, make_seed(), spec)) ==
        std::set<std::string>{"spec.evaluation.early_stop.rule", "spec.evaluation.early_stop.rungs",
                              "spec.evaluation.early_stop.minimum",
                              "spec.evaluation.early_stop.keep"});
}

TEST_CASE("spec_resolver: larger campaigns run wider by default", "[unit][coordinator]") {
  const auto task = make_task();
  for (const auto& [evaluations, islands, parallel, reset] :
       {std::tuple{90, 1, 5, 22}, {800, 2, 50, 200}, {100'000, 4, 64, 25'000}, {0, 4, 64, 1600}}) {
    CAPTURE(evaluations);
    auto spec = make_spec();
    spec.mutable_budget()->set_evaluations(evaluations);
    wire::fill_defaults(task, make_seed(), spec);
    CHECK(spec.search().islands() == islands);
    CHECK(spec.search().reset_interval() == reset);
    CHECK(spec.evaluation().parallel() == parallel);
  }
}

TEST_CASE("spec_resolver: every policy of the wire is the search's of the same word",
          "[unit][coordinator]") {
  const auto task = make_task();
  for (int value = spec::v1::Policy_MIN + 1; value <= spec::v1::Policy_MAX; ++value) {
    auto spec = make_spec();
    spec.mutable_search()->set_policy(static_cast<spec::v1::Policy>(value));
    wire::fill_defaults(task, make_seed(), spec);
    CHECK(wire::check_spec(task, make_seed(), spec).empty());
    std::string name = spec::v1::Policy_Name(spec.search().policy());
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    const auto settings = wire::make_definition(task, make_seed(), spec).settings;
    CHECK("policy_" + word(settings.policy) == name);
    CHECK(settings.children == (settings.policy == search::PolicyKind::sequential ? 20 : 8));
    CHECK(settings.generations == 10);
  }
}

TEST_CASE("spec_resolver: every operator of the wire is the search's of the same word",
          "[unit][coordinator]") {
  const auto task = make_task();
  auto spec = make_spec();
  spec.mutable_search()->set_learn_shares(true);
  for (int value = spec::v1::Operator_MIN + 1; value <= spec::v1::Operator_MAX; ++value) {
    auto* share = spec.mutable_search()->add_operators();
    share->set_kind(static_cast<spec::v1::Operator>(value));
    share->set_weight(value);
  }
  CHECK(task::check_campaign(spec).empty());
  wire::fill_defaults(task, make_seed(), spec);
  CHECK(wire::check_spec(task, make_seed(), spec).empty());
  const auto settings = wire::make_definition(task, make_seed(), spec).settings;
  CHECK(settings.learns_shares);
  REQUIRE(settings.operators.size() == static_cast<std::size_t>(spec::v1::Operator_MAX));
  for (std::size_t i = 0; i < settings.operators.size(); ++i) {
    std::string name = spec::v1::Operator_Name(static_cast<spec::v1::Operator>(i + 1));
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    CHECK("operator_" + word(settings.operators[i].kind) == name);
    CHECK(settings.operators[i].weight == static_cast<double>(i + 1));
  }
}

TEST_CASE("spec_resolver: enumerators that this version does not know are refused",
          "[unit][coordinator]") {
  const auto task = make_task();
  auto spec = make_spec();
  spec.mutable_search()->set_policy(static_cast<spec::v1::Policy>(spec::v1::Policy_MAX + 1));
  auto* share = spec.mutable_search()->add_operators();
  share->set_kind(static_cast<spec::v1::Operator>(99));
  share->set_weight(1);
  wire::fill_defaults(task, make_seed(), spec);
  CHECK(fields(wire::check_spec(task, make_seed(), spec)) ==
        std::set<std::string>{"spec.search.policy", "spec.search.operators[0].kind"});
  spec.mutable_search()->set_policy(static_cast<spec::v1::Policy>(-1));
  CHECK(fields(wire::check_spec(task, make_seed(), spec)).contains("spec.search.policy"));
}

TEST_CASE("spec_resolver: a file that passes the command line's checks passes here, and else not",
          "[unit][coordinator]") {
  using Spec = spec::v1::CampaignSpec;
  struct Bound {
    const char* field;
    int largest;
    void (*set)(Spec&, int);
  };
  const Bound bounds[] = {
      {"islands", 64, [](Spec& s, int n) { s.mutable_search()->set_islands(n); }},
      {"island_size", 100'000, [](Spec& s, int n) { s.mutable_search()->set_island_size(n); }},
      {"migration", 1'000'000,
       [](Spec& s, int n) { s.mutable_search()->set_migration_interval(n); }},
      {"children", 10'000, [](Spec& s, int n) { s.mutable_search()->set_children(n); }},
      {"generations", 1'000'000, [](Spec& s, int n) { s.mutable_search()->set_generations(n); }},
      {"inspirations", 8, [](Spec& s, int n) { s.mutable_search()->set_inspirations(n); }},
      {"failures", 8, [](Spec& s, int n) { s.mutable_search()->set_failures(n); }},
      {"repeats", 100, [](Spec& s, int n) { s.mutable_evaluation()->set_repeats(n); }},
      {"final_repeats", 100, [](Spec& s, int n) { s.mutable_evaluation()->set_final_repeats(n); }},
      {"confirm_sigma", 1000, [](Spec& s, int n) { s.mutable_evaluation()->set_confirm_sigma(n); }},
      {"parallel", 100'000, [](Spec& s, int n) { s.mutable_evaluation()->set_parallel(n); }},
      {"proposals", 10'000, [](Spec& s, int n) { s.mutable_codegen()->set_parallel(n); }},
      {"variants", 16, [](Spec& s, int n) { s.mutable_codegen()->set_variants(n); }},
      {"tokens", 1'000'000, [](Spec& s, int n) { s.mutable_codegen()->set_output_tokens(n); }},
      {"priority", 100, [](Spec& s, int n) { s.set_priority(n); }},
      {"description", 4'096, [](Spec& s, int n) { s.set_description(text_of(n)); }},
      {"prompts", 8192,
       [](Spec& s, int n) {
         auto* prompt = s.mutable_codegen()->add_prompts();
         prompt->set_operator_(spec::v1::OPERATOR_DIFF);
         prompt->set_text(text_of(n));
       }},
      {"instructions", 16'384,
       [](Spec& s, int n) { s.mutable_codegen()->set_instructions(text_of(n)); }}};
  const auto task = make_task();
  for (const auto& bound : bounds) {
    for (const bool is_over : {false, true}) {
      CAPTURE(bound.field, is_over);
      auto spec = make_spec();
      bound.set(spec, bound.largest + (is_over ? 1 : 0));
      CHECK(task::check_campaign(spec).empty() == !is_over);
      wire::fill_defaults(task, make_seed(), spec);
      CHECK(wire::check_spec(task, make_seed(), spec).empty() == !is_over);
    }
  }
}

TEST_CASE("spec_resolver: constraints keep which bounds are set", "[unit][coordinator]") {
  const auto task = make_task();
  auto spec = make_spec();
  auto* size = spec.mutable_search()->add_constraints();
  size->set_metric("size");
  size->set_maximum(0);
  wire::fill_defaults(task, make_seed(), spec);
  CHECK(wire::make_definition(task, make_seed(), spec).settings.constraints ==
        std::vector<search::Constraint>{{"size", std::nullopt, 0.0}});
  size->clear_maximum();
  CHECK(fields(wire::check_spec(task, make_seed(), spec)) ==
        std::set<std::string>{"spec.search.constraints[0]"});
}

TEST_CASE("spec_resolver: a definition has what agents and the search need",
          "[unit][coordinator]") {
  const auto task = make_task();
  auto spec = make_spec();
  spec.mutable_budget()->set_tokens(100'000);
  spec.mutable_budget()->set_cost_usd(2.5);
  (*spec.mutable_task()->mutable_parameters())["seconds"] = 7;
  wire::fill_defaults(task, make_seed(), spec);
  const auto definition = wire::make_definition(task, make_seed(), spec);
  CHECK(definition.runtime == "libtorch");
  CHECK(definition.sandbox_level == spec::v1::SANDBOX_LEVEL_STANDARD);
  CHECK(definition.gpus == 1);
  CHECK(definition.attempt_budget_min == milliseconds((120 + 60 + 180) * 1000));
  CHECK(definition.parameters.at("seconds") == 7);
  CHECK(definition.settings.objectives.front().target == 0.99);
  CHECK(definition.settings.budget.cost_micro_usd == 2'500'000);
  // The frame, six programs, room for a hint and what helped, the answer.
  CHECK(definition.settings.tokens_reserved == 3'000 + 6 * 1'000 + 2'218 + 4'096);
  auto* prompt = spec.mutable_codegen()->add_prompts();
  prompt->set_operator_(spec::v1::OPERATOR_DIFF);
  prompt->set_text(std::string(300, 'x'));
  spec.mutable_codegen()->set_instructions(std::string(600, 'x'));
  CHECK(wire::make_definition(task, make_seed(), spec).settings.tokens_reserved ==
        definition.settings.tokens_reserved + 300);
  // A quarter of the money for the eight proposals in flight.
  CHECK(definition.settings.cost_reserved_micro_usd == 78'125);
  CHECK(definition.started.seed_source_tokens == 400);
}

TEST_CASE("spec_resolver: reports every problem by its path", "[unit][coordinator]") {
  const auto task = make_task();
  auto spec = make_spec();
  spec.set_kind("Compaign");
  spec.clear_budget();
  spec.mutable_task()->set_digest("abc");
  (*spec.mutable_task()->mutable_parameters())["secons"] = 7;
  spec.mutable_search()->add_operators()->set_weight(-1);
  spec.mutable_codegen()->set_instructions(std::string(17 * 1024, 'x'));
  spec.mutable_codegen()->set_parallel(-1);
  spec.mutable_evaluation()->set_repeats(1000);
  wire::fill_defaults(task, make_seed(), spec);
  const auto names = fields(wire::check_spec(task, make_seed(), spec));
  for (const char* name :
       {"spec.kind", "spec.budget", "spec.task.digest", "spec.task.parameters.secons",
        "spec.search.operators[0].kind", "spec.search.operators[0].weight",
        "spec.codegen.instructions", "spec.codegen.parallel", "spec.evaluation.repeats"}) {
    INFO(name);
    CHECK(names.contains(name));
  }
}

TEST_CASE("spec_resolver: a prompt is for one operator that asks a model", "[unit][coordinator]") {
  const auto task = make_task();
  auto spec = make_spec();
  const auto add = [&spec](spec::v1::Operator kind, const std::string& text) {
    auto* prompt = spec.mutable_codegen()->add_prompts();
    prompt->set_operator_(kind);
    prompt->set_text(text);
    return prompt;
  };
  add(spec::v1::OPERATOR_DIFF, "Change one number.\n");
  add(spec::v1::OPERATOR_CROSSOVER, "Join them.");
  auto good = spec;
  wire::fill_defaults(task, make_seed(), good);
  CHECK(wire::check_spec(task, make_seed(), good).empty());
  CHECK(task::check_campaign(good).empty());
  CHECK(wire::make_definition(task, make_seed(), good).prompts ==
        std::map<std::string, std::string>{{"diff", "Change one number.\n"},
                                           {"crossover", "Join them."}});
  add(spec::v1::OPERATOR_DIFF, "Once more.");
  add(spec::v1::OPERATOR_TUNE, "Nobody is asked.");
  add(spec::v1::OPERATOR_EXPLAIN, "");
  add(spec::v1::OPERATOR_REPAIR, "Mend it.")->set_file("repair.md");
  wire::fill_defaults(task, make_seed(), spec);
  CHECK(fields(wire::check_spec(task, make_seed(), spec)) ==
        std::set<std::string>{"spec.codegen.prompts[2].operator",
                              "spec.codegen.prompts[3].operator", "spec.codegen.prompts[4].text",
                              "spec.codegen.prompts[5].file"});
  CHECK(task::check_campaign(spec).size() == 4);
}

TEST_CASE("spec_resolver: texts must be such that the database can store them",
          "[unit][coordinator]") {
  const auto task = make_task();
  auto spec = make_spec();
  spec.set_description(std::string("a\0b", 3));
  spec.mutable_codegen()->set_instructions(std::string("a\0b", 3));
  spec.mutable_codegen()->add_models()->set_model("gpt 4.1/mini:latest");
  spec.mutable_codegen()->add_models()->set_model(std::string("a\0b", 3));
  spec.mutable_codegen()->add_models()->set_model(std::string(257, 'x'));
  spec.mutable_codegen()->add_models()->set_model("a\nb");
  for (const auto& metric : {std::string("loss"), std::string("lo\0ss", 5), std::string(64, 'x')}) {
    auto* feature = spec.mutable_search()->add_features();
    feature->set_metric(metric);
    feature->set_maximum(1);
  }
  spec.mutable_search()->add_constraints()->set_metric(std::string("lo\0ss", 5));
  spec.mutable_search()->mutable_constraints(0)->set_maximum(1);
  wire::fill_defaults(task, make_seed(), spec);
  CHECK(fields(wire::check_spec(task, make_seed(), spec)) ==
        std::set<std::string>{"spec.description", "spec.codegen.instructions",
                              "spec.codegen.models[1].model", "spec.codegen.models[2].model",
                              "spec.codegen.models[3].model", "spec.search.features[1].metric",
                              "spec.search.features[2].metric",
                              "spec.search.constraints[0].metric"});
}

TEST_CASE("convert: texts are cut at a character and lose their NULs", "[unit][coordinator]") {
  CHECK(wire::clean_text("abc", 3) == "abc");
  CHECK(wire::clean_text("abcd", 3) == "abc");
  CHECK(wire::clean_text("ab\xc3\xa4", 3) == "ab");
  CHECK(wire::clean_text("a\xe2\x82\xac", 3) == "a");
  CHECK(wire::clean_text(std::string("a\0b", 3), 8) == "a b");
  CHECK(wire::clean_text("", 8).empty());
}
