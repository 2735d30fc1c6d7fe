#include "cli/output/plan.hpp"

#include <catch2/catch_test_macros.hpp>

namespace cambrian::cli {
namespace {

user::v1::Campaign campaign_of(const std::string& name, const std::string& digest,
                               const std::string& model) {
  user::v1::Campaign campaign;
  campaign.set_name(name);
  campaign.set_task_name("answer");
  campaign.mutable_spec()->mutable_task()->set_digest(digest);
  campaign.mutable_spec()->mutable_codegen()->add_models()->set_model(model);
  auto& used = *campaign.mutable_consumption();
  used.set_evaluations(50);
  used.mutable_wall_time()->set_seconds(100);
  used.set_tokens(200'000);
  used.set_cost_micro_usd(1'000'000);
  used.mutable_gpu_time();
  return campaign;
}

TEST_CASE("plan: the budget that lasts for the fewest evaluations ends the campaign",
          "[unit][cli]") {
  const auto like = campaign_of("before", "a", "small");
  auto spec = like.spec();
  spec.mutable_budget()->set_evaluations(400);
  spec.mutable_budget()->set_cost_usd(5);
  auto plan = make_plan(spec, like);
  // Two cents each: 250 of them.
  CHECK(plan.end == "cost_usd");
  CHECK((plan.is_same_task && plan.has_same_models));
  REQUIRE(plan.uses.size() == 5);
  CHECK(plan.uses[0].all == 250);
  CHECK(plan.uses[1].all == 500);
  CHECK(plan.uses[2].all == 1'000'000);
  CHECK(plan.uses[3].all == 5);
  CHECK(plan.uses[4].all == 0);
  CHECK(plan.uses[0].limit == 400);
  CHECK(plan.uses[1].each == 2);

  spec.mutable_budget()->set_cost_usd(80);
  plan = make_plan(spec, like);
  CHECK(plan.end == "evaluations");
  CHECK(plan.uses[3].all == 8);

  // What it never used does not end it.
  spec.mutable_budget()->Clear();
  spec.mutable_budget()->mutable_gpu_time()->set_seconds(3600);
  plan = make_plan(spec, like);
  CHECK_FALSE(plan.end);
  CHECK_FALSE(plan.uses[0].all);
}

TEST_CASE("plan: the campaign that is most like it is taken, of equals the newest", "[unit][cli]") {
  user::v1::ListCampaignsResponse all;
  *all.add_campaigns() = campaign_of("fresh", "a", "small");
  all.mutable_campaigns(0)->mutable_consumption()->set_evaluations(2);
  const auto spec = all.campaigns(0).spec();
  CHECK(find_like(spec, "answer", all) == nullptr);
  *all.add_campaigns() = campaign_of("other-version", "b", "small");
  CHECK(find_like(spec, "answer", all)->name() == "other-version");
  CHECK(find_like(spec, "question", all) == nullptr);
  CHECK_FALSE(make_plan(spec, all.campaigns(1)).is_same_task);
  *all.add_campaigns() = campaign_of("other-model", "a", "large");
  CHECK(find_like(spec, "answer", all)->name() == "other-model");
  CHECK_FALSE(make_plan(spec, all.campaigns(2)).has_same_models);
  *all.add_campaigns() = campaign_of("newer", "a", "small");
  *all.add_campaigns() = campaign_of("older", "a", "small");
  CHECK(find_like(spec, "answer", all)->name() == "newer");
  // Other parameters are further away than other models.
  (*all.mutable_campaigns(3)->mutable_spec()->mutable_task()->mutable_parameters())["items"] = 7;
  CHECK(find_like(spec, "answer", all)->name() == "older");
  CHECK_FALSE(make_plan(spec, all.campaigns(3)).has_same_parameters);
  all.mutable_campaigns()->DeleteSubrange(4, 1);
  CHECK(find_like(spec, "answer", all)->name() == "other-model");
  // A task that is named by its digest alone.
  CHECK(find_like(spec, "", all)->name() == "other-model");
}

}  // namespace
}  // namespace cambrian::cli
