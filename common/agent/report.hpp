#pragma once

#include <stop_token>
#include <string>

#include "cambrian/agent/v1/agent_service.grpc.pb.h"
#include "common/agent/agent.hpp"

namespace cambrian::agent {

enum class Delivery {
  delivered,  ///< The coordinator has it, counted or not.
  refused,    ///< It will never take this result; `Report::cause` says why.
  stopped,    ///< `stop` ended the tries.
};

struct Report {
  Delivery delivery = Delivery::delivered;
  std::string cause;
};

/// Reports a result, again and again through outages until the coordinator has it, refuses it, or
/// `stop` ends the tries. `outcome` holds a result, not a release. Blocks.
Report report(v1::AgentService::Stub& stub, const std::string& agent_id, const v1::Lease& lease,
              const AttemptOutcome& outcome, std::stop_token stop);

}  // namespace cambrian::agent
