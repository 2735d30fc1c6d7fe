#pragma once

#include <vector>

#include "cambrian/spec/v1/campaign.pb.h"
#include "common/task/manifest.hpp"

namespace cambrian::task {

inline constexpr std::size_t kPromptBytesMax = 8 * 1024;  ///< Of one of codegen.prompts.

/// Every rule of a campaign file that can be checked without a server. Empty: the spec is good.
/// Zero and absent values are good wherever the messages name a default.
std::vector<FieldProblem> check_campaign(const spec::v1::CampaignSpec& spec);

/// The rules between a campaign and its task: overrides must name parameters of the task.
std::vector<FieldProblem> check_campaign_against(const spec::v1::CampaignSpec& spec,
                                                 const spec::v1::TaskManifest& manifest);

}  // namespace cambrian::task
