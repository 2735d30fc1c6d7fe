#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cambrian/user/v1/campaign_service.pb.h"

namespace cambrian::cli {

/// One thing that a campaign uses up, in the unit of its budget: evaluations, seconds, tokens, US
/// dollars.
struct PlannedUse {
  std::string name;           ///< Of the budget: `evaluations`, `wall_time`, `tokens`, ….
  double each = 0;            ///< For one evaluation.
  std::optional<double> all;  ///< Of the whole search; none: nothing that is known ends it.
  double limit = 0;           ///< The budget; 0: there is none.
};

/// What a campaign is going to use, from what one like it has used.
struct Plan {
  std::string based_on;             ///< Name of that campaign.
  bool is_same_task = true;         ///< False: the task has changed since.
  bool has_same_parameters = true;  ///< False: it had other parameters of the task.
  bool has_same_models = true;      ///< False: tokens and money are those of other models.
  std::vector<PlannedUse> uses;     ///< `evaluations` is the first.
  std::optional<std::string> end;   ///< Name of the budget that is used up first.
};

/// A campaign from which something can be learnt: the same task, or another version of it, and at
/// least three evaluations. The same task and the same models come first, then the newest one.
/// `campaigns`: newest first. None: there is none.
const user::v1::Campaign* find_like(const spec::v1::CampaignSpec& spec,
                                    const std::string& task_name,
                                    const user::v1::ListCampaignsResponse& campaigns);

/// Each evaluation is taken to use what it used there on average: the same pace, as if the same
/// workers served it alone, as many results known before, the same repeats. Final evaluations are
/// not in it.
Plan make_plan(const spec::v1::CampaignSpec& spec, const user::v1::Campaign& like);

}  // namespace cambrian::cli
