#include "codegen-client/adapters/grpc/convert.hpp"

#include <algorithm>
#include <chrono>

#include "codegen-client/domain/text.hpp"
#include "common/task/task_folder.hpp"

namespace cambrian::codegen {
namespace {

using agent::v1::EvaluationOutcome;

// The coordinator takes no more, and a report that it refuses loses what it says of the calls.
constexpr std::int64_t kTokensMax = 1'000'000'000;
constexpr std::int64_t kCostMicroUsdMax = 1'000'000'000'000;

std::string outcome_name(EvaluationOutcome outcome) {
  constexpr std::string_view kPrefix = "EVALUATION_OUTCOME_";
  if (outcome == agent::v1::EVALUATION_OUTCOME_UNSPECIFIED) return {};
  return to_lower(agent::v1::EvaluationOutcome_Name(outcome).substr(kPrefix.size()));
}

Result<Operator> from_proto(spec::v1::Operator operation) {
  switch (operation) {
    case spec::v1::OPERATOR_DIFF: return Operator::diff;
    case spec::v1::OPERATOR_REWRITE: return Operator::rewrite;
    case spec::v1::OPERATOR_CROSSOVER: return Operator::crossover;
    case spec::v1::OPERATOR_REPAIR: return Operator::repair;
    case spec::v1::OPERATOR_SIMPLIFY: return Operator::simplify;
    case spec::v1::OPERATOR_EXPLAIN: return Operator::explain;
    default: break;
  }
  return fail(Errc::invalid_argument, "unknown operator: " + std::to_string(operation));
}

template <class Programs>
Result<std::vector<ProgramReference>> from_proto(const Programs& programs) {
  std::vector<ProgramReference> references;
  for (const agent::v1::ProgramContext& context : programs) {
    ProgramReference reference;
    for (const auto& file : context.files()) reference.files[file.path()] = file.sha256();
    if (reference.files.empty()) {
      return fail(Errc::invalid_argument,
                  "a program without files: variant=" + std::to_string(context.variant()));
    }
    reference.program.variant = context.variant();
    reference.program.metrics.insert(context.metrics().begin(), context.metrics().end());
    reference.program.outcome = outcome_name(context.outcome());
    reference.program.diagnostics = context.diagnostics();
    references.push_back(std::move(reference));
  }
  return references;
}

agent::v1::ProposalOutcome to_proto(ProposalOutcome outcome) {
  switch (outcome) {
    case ProposalOutcome::success: return agent::v1::PROPOSAL_OUTCOME_SUCCESS;
    case ProposalOutcome::rejected: return agent::v1::PROPOSAL_OUTCOME_REJECTED;
    case ProposalOutcome::truncated: return agent::v1::PROPOSAL_OUTCOME_TRUNCATED;
    case ProposalOutcome::refused: return agent::v1::PROPOSAL_OUTCOME_REFUSED;
    case ProposalOutcome::no_quota: return agent::v1::PROPOSAL_OUTCOME_NO_QUOTA;
    case ProposalOutcome::infrastructure: return agent::v1::PROPOSAL_OUTCOME_INFRASTRUCTURE;
  }
  return agent::v1::PROPOSAL_OUTCOME_INFRASTRUCTURE;
}

}  // namespace

void to_proto(std::chrono::milliseconds value, google::protobuf::Duration& out) {
  out.set_seconds(value.count() / 1000);
  out.set_nanos(static_cast<std::int32_t>(value.count() % 1000) * 1'000'000);
}

std::chrono::milliseconds to_milliseconds(const google::protobuf::Duration& duration) {
  return std::chrono::milliseconds(duration.seconds() * 1000 + duration.nanos() / 1'000'000);
}

void to_proto(const CallRecord& call, agent::v1::ModelCall& out) {
  out.set_model(call.model);
  out.set_endpoint(call.endpoint);
  out.set_prompt_tokens(std::min(call.usage.prompt_tokens, kTokensMax));
  out.set_completion_tokens(std::min(call.usage.completion_tokens, kTokensMax));
  out.set_cost_micro_usd(std::min(call.cost_micro_usd, kCostMicroUsdMax));
  to_proto(call.latency, *out.mutable_latency());
  if (call.time_to_first_token) {
    to_proto(*call.time_to_first_token, *out.mutable_time_to_first_token());
  }
  out.set_retries(call.retries);
  out.set_finish_reason(call.finish_reason);
  out.set_prompt_digest(call.prompt_digest);
  out.set_answer_digest(call.answer_digest);
  out.set_is_outcome_unknown(call.is_outcome_unknown);
  out.set_cached_prompt_tokens(std::min(call.usage.cached_prompt_tokens, kTokensMax));
  out.set_reasoning_tokens(std::min(call.usage.reasoning_tokens, kTokensMax));
  out.set_request_id(call.request_id);
}

Result<Proposal> from_proto(const agent::v1::ProposalWork& work) {
  Proposal proposal{.task_digest = work.task_digest(),
                    .seed = work.seed(),
                    .variants = work.variants(),
                    .model = work.model(),
                    .output_tokens = work.output_tokens(),
                    .instructions = work.instructions(),
                    .tokens_reserved = work.tokens_reserved(),
                    .cost_reserved_micro_usd = work.cost_reserved_micro_usd()};
  proposal.order = work.order();
  for (const auto& gain : work.gains()) {
    proposal.gains.push_back({.variant = gain.variant(),
                              .before = gain.before(),
                              .after = gain.after(),
                              .change = gain.change()});
  }
  if (work.has_temperature()) proposal.temperature = work.temperature();
  CAMBRIAN_TRY(proposal.operation, from_proto(work.operator_()));
  CAMBRIAN_TRY(proposal.parents, from_proto(work.parents()));
  CAMBRIAN_TRY(proposal.inspirations, from_proto(work.inspirations()));
  CAMBRIAN_TRY(proposal.failures, from_proto(work.failures()));
  if (proposal.parents.empty()) {
    return fail(Errc::invalid_argument, "a proposal without a parent");
  }
  return proposal;
}

Task from_proto(const spec::v1::TaskManifest& manifest) {
  Task task{.name = manifest.name(), .description = manifest.description()};
  for (const auto& objective : manifest.objectives()) {
    task.objectives.push_back({.metric = objective.metric(),
                               .is_maximized = objective.goal() != spec::v1::GOAL_MINIMIZE});
  }
  for (const auto& path : manifest.candidate().evolve()) task.evolve.push_back(path);
  task.language = source::language_from_name(manifest.language());
  const std::int64_t source_bytes = manifest.limits().source_bytes();
  task.source_bytes_max = source_bytes > 0 ? source_bytes : task::kSourceBytesDefault;
  return task;
}

agent::v1::ProposalResult to_proto(const ProposalReport& report) {
  agent::v1::ProposalResult result;
  result.set_outcome(to_proto(report.outcome));
  for (const NewVariant& variant : report.variants) {
    auto& out = *result.add_variants();
    for (const auto& [path, digest] : variant.files) {
      auto& file = *out.add_files();
      file.set_path(path);
      file.set_sha256(digest);
    }
    out.set_token_digest(variant.token_digest);
    out.set_source_tokens(variant.source_tokens);
    out.set_rationale(variant.rationale);
  }
  for (const CallRecord& call : report.calls) to_proto(call, *result.add_calls());
  for (const std::string& reason : report.rejections) result.add_rejections(reason);
  return result;
}

}  // namespace cambrian::codegen
