#include "cli/commands/campaign_view.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <vector>

namespace cambrian::cli {
namespace {

using Catch::Matchers::ContainsSubstring;
using user::v1::Campaign;
using user::v1::FinalScore;

Campaign campaign_of(double best, double noise, int noise_repeats) {
  Campaign campaign;
  campaign.set_name("c");
  campaign.set_objective_metric("loss");
  campaign.set_seed_score(1.0);
  campaign.set_best_score(best);
  campaign.set_best_variant(3);
  campaign.set_noise_deviation(noise);
  campaign.mutable_spec()->mutable_evaluation()->set_repeats(1);
  campaign.mutable_spec()->mutable_evaluation()->set_noise_repeats(noise_repeats);
  return campaign;
}

void set_values(FinalScore& score, const std::vector<double>& values) {
  auto& estimate = (*score.mutable_validation())["loss"];
  estimate.clear_values();
  for (const double value : values) estimate.add_values(value);
}

TEST_CASE("campaign view: a gain that two equal programs would show is within the noise",
          "[unit][cli]") {
  // Student's t with 2 degrees of freedom is 4.303: the bound is 4.303 * 0.1 * sqrt(2) = 0.609.
  CHECK_THAT(campaign_details(campaign_of(0.4, 0.1, 3)), ContainsSubstring("within the noise"));
  CHECK_THAT(campaign_details(campaign_of(0.39, 0.1, 3)), !ContainsSubstring("within the noise"));
  // With 9 degrees 2.262: 0.320.
  CHECK_THAT(campaign_details(campaign_of(0.69, 0.1, 10)), ContainsSubstring("within the noise"));
  CHECK_THAT(campaign_details(campaign_of(0.67, 0.1, 10)), !ContainsSubstring("within the noise"));
  // With four repeats half as much.
  auto repeated = campaign_of(0.83, 0.1, 10);
  repeated.mutable_spec()->mutable_evaluation()->set_repeats(4);
  CHECK_THAT(campaign_details(repeated), !ContainsSubstring("within the noise"));
}

TEST_CASE("campaign view: the seed itself gained nothing, by luck or not", "[unit][cli]") {
  auto campaign = campaign_of(1.0, 0.1, 3);
  campaign.set_best_variant(0);
  CHECK_THAT(campaign_details(campaign), !ContainsSubstring("within the noise"));
}

TEST_CASE("campaign view: fresh seeds decide about a gain, pair by pair", "[unit][cli]") {
  // What differs from draw to draw is a thousand times the gain, and the same for both.
  auto campaign = campaign_of(0.9, 10, 3);
  set_values(*campaign.mutable_final_seed(), {1, 31, 61});
  set_values(*campaign.mutable_final_best(), {0.9, 30.89, 60.91});
  CHECK_THAT(campaign_details(campaign), !ContainsSubstring("not shown"));
  CHECK_THAT(campaign_details(campaign), !ContainsSubstring("within the noise"));
  set_values(*campaign.mutable_final_best(), {0.9, 31.1, 60.8});
  CHECK_THAT(campaign_details(campaign), ContainsSubstring("not shown with fresh seeds"));
  // A loss that grew is no gain, however sure.
  set_values(*campaign.mutable_final_best(), {1.1, 31.11, 61.09});
  CHECK_THAT(campaign_details(campaign), ContainsSubstring("not shown with fresh seeds"));
  campaign.set_is_maximized(true);
  CHECK_THAT(campaign_details(campaign), !ContainsSubstring("not shown"));
  // One of them failed once: pairs are not known.
  set_values(*campaign.mutable_final_best(), {0.9, 30.9});
  CHECK_THAT(campaign_details(campaign), ContainsSubstring("within the noise"));
}

TEST_CASE("campaign view: a jump tells both scores and what became of it", "[unit][cli]") {
  user::v1::Variant variant;
  CHECK_THAT(variant_details(variant), !ContainsSubstring("jump"));
  variant.set_state(user::v1::VARIANT_STATE_EVALUATED);
  variant.set_jump_score(9);
  variant.set_second_score(1.5);
  variant.set_confirmation(user::v1::CONFIRMATION_DISPUTED);
  CHECK_THAT(variant_details(variant), ContainsSubstring("9, disputed by another evaluation: 1.5"));
  variant.clear_second_score();
  variant.set_state(user::v1::VARIANT_STATE_FAILED);
  variant.set_outcome(agent::v1::EVALUATION_OUTCOME_CRASH);
  CHECK_THAT(variant_details(variant),
             ContainsSubstring("9, disputed by another evaluation: crash"));
  variant.set_confirmation(user::v1::CONFIRMATION_UNCONFIRMED);
  CHECK_THAT(variant_details(variant), ContainsSubstring("9, unconfirmed: the search ended"));
}

TEST_CASE("campaign view: jumps are counted where there are any", "[unit][cli]") {
  auto campaign = campaign_of(0.9, 0, 0);
  CHECK_THAT(campaign_details(campaign), !ContainsSubstring("jumps"));
  campaign.mutable_jumps()->set_confirmed(3);
  campaign.mutable_jumps()->set_disputed(1);
  CHECK_THAT(campaign_details(campaign),
             ContainsSubstring("3 confirmed by another evaluation, 1 disputed, 0 unconfirmed"));
}

}  // namespace
}  // namespace cambrian::cli
