#pragma once

#include <google/protobuf/duration.pb.h>

#include <chrono>
#include <string_view>

#include "cambrian/agent/v1/work.pb.h"
#include "cambrian/spec/v1/task.pb.h"
#include "codegen-client/domain/proposal.hpp"
#include "common/base/result.hpp"

/// Between the wire and the domain. Pure; any thread.
namespace cambrian::codegen {

/// Errors: invalid_argument for work that is not complete: no parent, no file, an unknown operator.
Result<Proposal> from_proto(const agent::v1::ProposalWork& work);

Task from_proto(const spec::v1::TaskManifest& manifest);

agent::v1::ProposalResult to_proto(const ProposalReport& report);
void to_proto(const CallRecord& call, agent::v1::ModelCall& out);

std::chrono::milliseconds to_milliseconds(const google::protobuf::Duration& duration);
void to_proto(std::chrono::milliseconds value, google::protobuf::Duration& out);

}  // namespace cambrian::codegen
