#pragma once

#include <stop_token>
#include <string>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "common/agent/agent.hpp"

namespace cambrian::agent {

/// Reports a result, again and again through outages until the coordinator has it, refuses the
/// lease, or `stop` ends the tries. `outcome` holds a result, not a release. Blocks.
/// False when the result could not be delivered and the lease should go back.
bool report(v1::AgentService::Stub& stub, const std::string& agent_id, const v1::Lease& lease,
            const AttemptOutcome& outcome, std::stop_token stop);

}  // namespace cambrian::agent
