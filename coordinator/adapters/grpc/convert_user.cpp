#include <cmath>

#include "common/statistics/statistics.hpp"
#include "coordinator/adapters/grpc/convert.hpp"

namespace cambrian::coordinator::wire {
namespace {

void estimate_to_proto(const std::vector<double>& values, user::v1::Estimate* message) {
  for (const auto value : values) message->add_values(value);
  message->set_mean(statistics::mean(values));
  if (const auto error = statistics::standard_error(values)) message->set_standard_error(*error);
}

void final_to_proto(const FinalScore& score, user::v1::FinalScore* message) {
  message->set_variant(score.variant);
  for (const auto& [metric, values] : score.validation) {
    estimate_to_proto(values, &(*message->mutable_validation())[metric]);
  }
  for (const auto& [metric, values] : score.sealed) {
    estimate_to_proto(values, &(*message->mutable_sealed())[metric]);
  }
}

void consumption_to_proto(const Consumption& used, user::v1::Consumption* message) {
  message->set_evaluations(used.evaluations);
  message->set_evaluations_failed(used.evaluations_failed);
  message->set_evaluations_reused(used.evaluations_reused);
  message->set_evaluations_stopped_early(used.evaluations_stopped_early);
  to_proto(milliseconds(used.time_saved_ms), message->mutable_training_time_saved());
  message->set_final_evaluations(used.final_evaluations);
  message->set_proposals(used.proposals);
  message->set_proposals_failed(used.proposals_failed);
  message->set_duplicates(used.duplicates);
  message->set_tokens(used.tokens);
  message->set_cost_micro_usd(used.cost_micro_usd);
  to_proto(milliseconds(used.gpu_time_ms), message->mutable_gpu_time());
  to_proto(milliseconds(used.cpu_time_ms), message->mutable_cpu_time());
  to_proto(milliseconds(used.running_ms), message->mutable_wall_time());
}

void evaluation_to_proto(const EvaluationRecord& record, user::v1::Evaluation* message) {
  message->set_split(to_proto(record.split));
  message->set_seed(record.seed);
  message->set_is_final(record.is_final);
  if (record.result) to_proto(*record.result, message->mutable_result());
  message->set_agent(record.agent);
  if (record.finished_at) to_proto(*record.finished_at, message->mutable_finish_time());
  message->set_attempts(record.attempts);
  message->set_number(record.number);
  message->set_is_confirmation(record.is_confirmation);
}

}  // namespace

void to_proto(const CampaignRecord& record, user::v1::Campaign* message) {
  message->set_name(record.name);
  message->mutable_spec()->ParseFromString(record.spec);
  message->set_state(static_cast<user::v1::CampaignState>(static_cast<int>(record.state) +
                                                          user::v1::CAMPAIGN_STATE_RUNNING));
  message->set_end_reason(static_cast<user::v1::EndReason>(record.end_reason));
  message->set_reason(record.reason);
  to_proto(record.created_at, message->mutable_create_time());
  if (record.ended_at) to_proto(*record.ended_at, message->mutable_end_time());
  consumption_to_proto(record.consumption, message->mutable_consumption());
  if (record.best_variant) message->set_best_variant(*record.best_variant);
  if (record.best_score) message->set_best_score(*record.best_score);
  if (record.seed_score) message->set_seed_score(*record.seed_score);
  if (record.noise_deviation) message->set_noise_deviation(*record.noise_deviation);
  message->set_evaluations_open(record.evaluations_open);
  message->set_proposals_open(record.proposals_open);
  message->set_last_sequence(record.last_sequence);
  if (record.final_seed) final_to_proto(*record.final_seed, message->mutable_final_seed());
  if (record.final_best) final_to_proto(*record.final_best, message->mutable_final_best());
  message->set_task_name(record.task_name);
  message->set_objective_metric(record.objective_metric);
  message->set_is_maximized(record.is_maximized);
  message->set_owner(record.owner);
  message->set_hint(record.hint);
  if (record.jumps) {
    message->mutable_jumps()->set_confirmed(record.jumps->confirmed);
    message->mutable_jumps()->set_disputed(record.jumps->disputed);
    message->mutable_jumps()->set_unconfirmed(record.jumps->unconfirmed);
  }
}

void to_proto(const VariantRecord& record, const std::string& campaign,
              user::v1::Variant* message) {
  message->set_campaign(campaign);
  message->set_number(record.number);
  for (const auto parent : record.parents) message->add_parents(parent);
  if (record.operation) message->set_operator_(to_proto(*record.operation));
  message->set_state(static_cast<user::v1::VariantState>(static_cast<int>(record.state) +
                                                         user::v1::VARIANT_STATE_PENDING));
  if (record.outcome && *record.outcome != search::Outcome::success) {
    message->set_outcome(to_proto(*record.outcome));
  }
  message->mutable_metrics()->insert(record.metrics.begin(), record.metrics.end());
  if (record.score) message->set_score(*record.score);
  if (record.island) message->set_island(*record.island);
  for (const auto& file : record.files) to_proto(file, message->add_files());
  message->set_rationale(record.rationale);
  to_proto(record.created_at, message->mutable_create_time());
  for (const auto& one : record.evaluations) evaluation_to_proto(one, message->add_evaluations());
  message->set_diagnostics(record.diagnostics);
  if (record.duplicate_of) message->set_duplicate_of(*record.duplicate_of);
  message->set_model(record.model);
  message->set_generation(record.generation);
  message->set_confirmation(static_cast<user::v1::Confirmation>(record.confirmation));
  if (record.jump_score) message->set_jump_score(*record.jump_score);
  if (record.second_score) message->set_second_score(*record.second_score);
}

void to_proto(const EventRecord& record, user::v1::Event* message) {
  message->set_sequence(record.sequence);
  to_proto(record.time, message->mutable_time());
  message->set_type(record.type);
  if (record.variant) message->set_variant(*record.variant);
  message->set_message(record.message);
  message->set_json(record.json);
}

void to_proto(const ModelUsage& usage, user::v1::ModelUsage* message) {
  message->set_model(usage.model);
  message->set_endpoint(usage.endpoint);
  message->set_calls(usage.calls);
  message->set_calls_failed(usage.calls_failed);
  message->set_prompt_tokens(usage.prompt_tokens);
  message->set_completion_tokens(usage.completion_tokens);
  message->set_cost_micro_usd(usage.cost_micro_usd);
  to_proto(milliseconds(std::llround(usage.latency_mean_ms)), message->mutable_latency_mean());
  message->set_variants(usage.variants);
  message->set_cached_prompt_tokens(usage.cached_prompt_tokens);
  message->set_reasoning_tokens(usage.reasoning_tokens);
  message->set_calls_unknown(usage.calls_unknown);
}

std::optional<Role> role_from_proto(user::v1::Role role) {
  switch (role) {
    case user::v1::ROLE_ADMIN: return Role::admin;
    case user::v1::ROLE_USER: return Role::user;
    case user::v1::ROLE_WORKER: return Role::worker;
    case user::v1::ROLE_CODEGEN: return Role::codegen;
    case user::v1::ROLE_VIEWER: return Role::viewer;
    default: return std::nullopt;
  }
}

}  // namespace cambrian::coordinator::wire
