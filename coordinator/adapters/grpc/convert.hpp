#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <vector>

#include "cambrian/agent/v1/agent_service.pb.h"
#include "cambrian/user/v1/admin_service.pb.h"
#include "cambrian/user/v1/campaign_service.pb.h"
#include "cambrian/user/v1/operation_service.pb.h"
#include "common/rpc/status.hpp"
#include "coordinator/ports/access.hpp"
#include "coordinator/ports/agent_api.hpp"
#include "coordinator/ports/agent_store.hpp"
#include "coordinator/ports/call_store.hpp"
#include "coordinator/ports/campaign.hpp"
#include "coordinator/ports/import_store.hpp"

/// Messages to values and back. What is wrong with a message is collected, so that the caller
/// hears of everything at once. Texts are cut to their documented limits and cleaned of NUL, which
/// PostgreSQL cannot store.
namespace cambrian::coordinator::wire {

using Problems = std::vector<rpc::FieldViolation>;

/// A text of at most so many bytes, cut at a character, without NUL.
std::string clean_text(const std::string& text, std::size_t bytes_max);

milliseconds from_proto(const google::protobuf::Duration& duration);
void to_proto(milliseconds duration, google::protobuf::Duration* message);
void to_proto(Instant instant, google::protobuf::Timestamp* message);

// Agents.
AgentReport from_proto(const agent::v1::SyncRequest& request, Problems& problems);
WorkReport from_proto(const agent::v1::FinishEvaluationRequest& request, Problems& problems);
WorkReport from_proto(const agent::v1::FinishProposalRequest& request, Problems& problems);
CallBegin from_proto(const agent::v1::BeginCallRequest& request, Problems& problems);
CallEnd from_proto(const agent::v1::EndCallRequest& request, Problems& problems);
void to_proto(const SyncAnswer& answer, agent::v1::SyncResponse* message);
void to_proto(const AgentRecord& record, user::v1::Worker* message);
EvaluationResult from_proto(const agent::v1::EvaluationResult& result, Problems& problems);
void to_proto(const EvaluationResult& result, agent::v1::EvaluationResult* message);
void to_proto(const SourceFile& file, agent::v1::SourceFile* message);

agent::v1::EvaluationOutcome to_proto(search::Outcome outcome);
agent::v1::Split to_proto(search::Split split);
spec::v1::Operator to_proto(search::Operator operation);

// Users.
/// What another installation exported. Only the form is checked: what it says has to be proven.
CampaignArchive from_proto(const user::v1::CampaignArchive& archive, Problems& problems);
void to_proto(const CampaignRecord& record, user::v1::Campaign* message);
void to_proto(const VariantRecord& record, const std::string& campaign, user::v1::Variant* message);
void to_proto(const EventRecord& record, user::v1::Event* message);
void to_proto(const ModelUsage& usage, user::v1::ModelUsage* message);
/// Empty for a role that is not named or not known.
std::optional<Role> role_from_proto(user::v1::Role role);

}  // namespace cambrian::coordinator::wire
