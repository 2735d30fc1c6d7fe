#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cambrian/user/v1/campaign_service.pb.h"
#include "cli/output/eta.hpp"
#include "cli/session.hpp"

/// How campaigns and variants look to people.
namespace cambrian::cli {

std::string state_name(user::v1::CampaignState state);
bool has_ended(user::v1::CampaignState state);
std::string outcome_name(agent::v1::EvaluationOutcome outcome);
std::string variant_state_name(user::v1::VariantState state);
std::string operator_name(const user::v1::Variant& variant);

/// The table of `campaign list`.
std::string campaign_table(const user::v1::ListCampaignsResponse& response, const Session& session);

/// Everything about one campaign.
std::string campaign_details(const user::v1::Campaign& campaign);

/// Two lines that say how a campaign does: for `watch`.
std::string campaign_headline(const user::v1::Campaign& campaign, const EtaEstimator& eta);

/// The same within 80 columns, without the name: for the one line of `demo`.
std::string progress_line(const user::v1::Campaign& campaign, const EtaEstimator& eta);

/// Seed against best in the final evaluations; empty while there are none.
std::string final_table(const user::v1::Campaign& campaign);

/// Half of the 95 % interval of the mean, by Student's t; nothing with fewer than two values.
std::optional<double> half_interval(const user::v1::Estimate& estimate);

/// `0.8731 ±0.0021`: the mean and its 95 % interval.
std::string estimate_text(const user::v1::Estimate& estimate);

std::string variant_table(const std::vector<user::v1::Variant>& variants, const std::string& metric,
                          const Session& session);
std::string variant_details(const user::v1::Variant& variant);

}  // namespace cambrian::cli
