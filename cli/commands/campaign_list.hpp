#pragma once

#include "cambrian/user/v1/campaign_service.pb.h"
#include "cli/session.hpp"

namespace cambrian::cli {

/// The newest campaigns, at most `limit`: one request after another until there are no more.
Result<user::v1::ListCampaignsResponse> list_campaigns(Session& session, int limit);

}  // namespace cambrian::cli
