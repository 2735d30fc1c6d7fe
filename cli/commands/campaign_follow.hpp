#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "cambrian/user/v1/campaign_service.pb.h"
#include "cli/session.hpp"

namespace cambrian::cli {

/// Looks at a campaign once a second until `is_done` says so. Errors: exhausted after `timeout` (0:
/// none), cancelled when stopped, not_found, and unavailable when the server stays away for five
/// minutes.
Result<user::v1::Campaign> wait_for_campaign(
    Session& session, const std::string& name, std::stop_token stop,
    std::chrono::milliseconds timeout,
    const std::function<bool(const user::v1::Campaign&)>& is_done);

/// Why a campaign failed, with what the seed's evaluation said where it failed by that.
std::string failure_reason(Session& session, const user::v1::Campaign& campaign);

}  // namespace cambrian::cli
