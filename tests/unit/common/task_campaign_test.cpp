#include <catch2/catch_test_macros.hpp>

#include <functional>

#include "common/task/campaign.hpp"

namespace cambrian::task {
namespace {

using spec::v1::CampaignSpec;
using Fields = std::vector<std::string>;

CampaignSpec good_spec() {
  CampaignSpec spec;
  spec.set_api_version("cambrian/v1");
  spec.set_kind("Campaign");
  spec.set_name("a-1");
  spec.mutable_task()->set_source("task");
  spec.mutable_budget()->set_evaluations(10);
  return spec;
}

Fields refused(const std::function<void(CampaignSpec&)>& change) {
  CampaignSpec spec = good_spec();
  change(spec);
  Fields fields;
  for (const FieldProblem& problem : check_campaign(spec)) fields.push_back(problem.field);
  return fields;
}

TEST_CASE("check_campaign: accepts the least that is needed", "[unit][task]") {
  CHECK(check_campaign(good_spec()).empty());
}

TEST_CASE("check_campaign: an empty spec lacks everything required, all at once", "[unit][task]") {
  Fields fields;
  for (const FieldProblem& problem : check_campaign({})) fields.push_back(problem.field);
  CHECK(fields == Fields{"api_version", "kind", "name", "task", "budget"});
}

TEST_CASE("check_campaign: names the field that breaks a rule", "[unit][task]") {
  CHECK(refused([](auto& s) { s.set_priority(101); }) == Fields{"priority"});
  CHECK(refused([](auto& s) { s.mutable_task()->set_digest("xyz"); }) == Fields{"task.digest"});
  CHECK(refused([](auto& s) { s.mutable_search()->set_islands(65); }) == Fields{"search.islands"});
  CHECK(refused([](auto& s) { s.mutable_search()->set_migration_fraction(1.5); }) ==
        Fields{"search.migration_fraction"});
  CHECK(refused([](auto& s) { s.mutable_search()->add_operators(); }) ==
        Fields{"search.operators[0].kind", "search.operators[0].weight"});
  CHECK(refused([](auto& s) { s.mutable_search()->add_features()->set_metric("m"); }) ==
        Fields{"search.features[0].maximum"});
  CHECK(refused([](auto& s) { s.mutable_evaluation()->set_repeats(-1); }) ==
        Fields{"evaluation.repeats"});
  const auto rule = [](CampaignSpec& s) { return s.mutable_evaluation()->mutable_early_stop(); };
  CHECK(refused([&](auto& s) { rule(s)->add_rungs(0.5); }).empty());
  CHECK(refused([&](auto& s) { rule(s)->add_rungs(1); }) == Fields{"evaluation.early_stop.rungs"});
  CHECK(refused([&](auto& s) {
          rule(s)->add_rungs(0.5);
          rule(s)->add_rungs(0.5);
        }) == Fields{"evaluation.early_stop.rungs"});
  CHECK(refused([&](auto& s) { rule(s)->set_minimum(1); }) ==
        Fields{"evaluation.early_stop.minimum"});
  CHECK(refused([&](auto& s) { rule(s)->set_keep(1); }) == Fields{"evaluation.early_stop.keep"});
  CHECK(refused([](auto& s) { s.mutable_evaluation()->set_race(true); }) ==
        Fields{"evaluation.race"});
  CHECK(refused([](auto& s) {
          s.mutable_evaluation()->set_race(true);
          s.mutable_evaluation()->set_repeats(2);
          s.mutable_evaluation()->set_noise_repeats(3);
        }).empty());
  CHECK(refused([](auto& s) {
          s.mutable_evaluation()->set_race(true);
          s.mutable_evaluation()->set_repeats(5);
          s.mutable_search()->set_policy(spec::v1::POLICY_PARETO);
        }) == Fields{"evaluation.race"});
  CHECK(refused([](auto& s) { s.mutable_codegen()->set_variants(17); }) ==
        Fields{"codegen.variants"});
  CHECK(refused([](auto& s) { s.mutable_codegen()->add_models()->set_temperature(3); }) ==
        Fields{"codegen.models[0].temperature"});
  CHECK(refused([](auto& s) { s.mutable_budget()->set_evaluations(-1); }) ==
        Fields{"budget.evaluations", "budget"});
  CHECK(refused([](auto& s) {
          s.mutable_budget()->clear_evaluations();
          s.mutable_budget()->mutable_gpu_time()->set_seconds(1);
        }).empty());
}

TEST_CASE("check_campaign_against: overrides must name parameters of the task", "[unit][task]") {
  spec::v1::TaskManifest manifest;
  manifest.set_name("t");
  (*manifest.mutable_parameters())["train_seconds"] = 5;
  CampaignSpec spec = good_spec();
  (*spec.mutable_task()->mutable_parameters())["train_seconds"] = 1;
  CHECK(check_campaign_against(spec, manifest).empty());
  (*spec.mutable_task()->mutable_parameters())["train_secnds"] = 1;
  const auto problems = check_campaign_against(spec, manifest);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0] == FieldProblem{"task.parameters.train_secnds",
                                    "the task t has no parameter \"train_secnds\"",
                                    "did you mean \"train_seconds\"?"});
}

TEST_CASE("check_campaign_against: early_stop is for judges that ask at rungs", "[unit][task]") {
  spec::v1::TaskManifest manifest;
  manifest.set_name("t");
  CampaignSpec spec = good_spec();
  spec.mutable_evaluation()->mutable_early_stop();
  const auto problems = check_campaign_against(spec, manifest);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].field == "evaluation.early_stop");
  manifest.mutable_judge()->set_rung_metric("accuracy");
  CHECK(check_campaign_against(spec, manifest).empty());
}

}  // namespace
}  // namespace cambrian::task
