#include <algorithm>
#include <stdexcept>

#include "coordinator/journal/codec.hpp"

// Inputs and derived events as JSON. docs/events.md describes these objects to users: fields may be
// added, never changed.
namespace cambrian::coordinator::journal {
namespace {

using namespace search;

constexpr std::string_view kInputTypes[] = {
    "campaign_created", "proposal_finished", "evaluation_finished",
    "pause_requested",  "resume_requested",  "stop_requested",
    "time_passed",      "attempt_charged",   "constants_found"};

struct TypeOf {
  std::string operator()(const Started&) const { return "campaign_created"; }
  std::string operator()(const ProposalFinished&) const { return "proposal_finished"; }
  std::string operator()(const EvaluationFinished&) const { return "evaluation_finished"; }
  std::string operator()(const ConstantsFound&) const { return "constants_found"; }
  std::string operator()(const AttemptCharged&) const { return "attempt_charged"; }
  std::string operator()(const PauseRequested&) const { return "pause_requested"; }
  std::string operator()(const ResumeRequested&) const { return "resume_requested"; }
  std::string operator()(const StopRequested&) const { return "stop_requested"; }
  std::string operator()(const TimePassed&) const { return "time_passed"; }
};

struct PayloadOf {
  Json operator()(const Started& event) const {
    return {{"seed_token_digest", event.seed_token_digest},
            {"seed_source_tokens", event.seed_source_tokens}};
  }
  Json operator()(const ProposalFinished& event) const {
    Json variants = Json::array();
    for (const auto& variant : event.variants) {
      variants.push_back(
          {{"token_digest", variant.token_digest}, {"source_tokens", variant.source_tokens}});
    }
    return {{"proposal", event.proposal.value},
            {"variants", std::move(variants)},
            {"tokens", event.tokens},
            {"cost_micro_usd", event.cost_micro_usd},
            {"is_quota_exhausted", event.is_quota_exhausted},
            {"is_infrastructure", event.is_infrastructure}};
  }
  Json operator()(const EvaluationFinished& event) const {
    return {{"evaluation", event.evaluation.value},
            {"outcome", word(event.outcome)},
            {"metrics", event.metrics},
            {"gpu_time_ms", event.gpu_time_ms}};
  }
  Json operator()(const ConstantsFound& event) const {
    Json constants = Json::array();
    for (const auto& constant : event.constants) {
      constants.push_back({{"value", constant.value},
                           {"low", constant.low},
                           {"high", constant.high},
                           {"is_logarithmic", constant.is_logarithmic}});
    }
    return {{"variant", event.variant.value}, {"constants", std::move(constants)}};
  }
  Json operator()(const AttemptCharged& event) const {
    return {{"tokens", event.tokens},
            {"cost_micro_usd", event.cost_micro_usd},
            {"gpu_time_ms", event.gpu_time_ms}};
  }
  Json operator()(const TimePassed& event) const { return {{"running_ms", event.running_ms}}; }
  Json operator()(const PauseRequested&) const { return Json::object(); }
  Json operator()(const ResumeRequested&) const { return Json::object(); }
  Json operator()(const StopRequested& event) const {
    Json begun = Json::array();
    for (const auto& evaluation : event.begun) begun.push_back(evaluation.value);
    return {{"begun", std::move(begun)}};
  }
};

ProposalFinished proposal_from(const Json& json) {
  ProposalFinished event{.proposal = {json.at("proposal")},
                         .variants = {},
                         .tokens = json.at("tokens"),
                         .cost_micro_usd = json.at("cost_micro_usd"),
                         .is_quota_exhausted = json.at("is_quota_exhausted"),
                         // Logs of older versions lack it: they counted such proposals.
                         .is_infrastructure = json.value("is_infrastructure", false)};
  for (const auto& variant : json.at("variants")) {
    event.variants.push_back(
        {.token_digest = variant.at("token_digest"), .source_tokens = variant.at("source_tokens")});
  }
  return event;
}

EvaluationFinished evaluation_from(const Json& json) {
  return {.evaluation = {json.at("evaluation")},
          .outcome = read_word<Outcome>(json.at("outcome")),
          .metrics = json.at("metrics").get<std::map<std::string, double>>(),
          .gpu_time_ms = json.at("gpu_time_ms")};
}

ConstantsFound constants_from(const Json& json) {
  ConstantsFound event{.variant = {json.at("variant")}, .constants = {}};
  for (const auto& constant : json.at("constants")) {
    event.constants.push_back({.value = constant.at("value"),
                               .low = constant.at("low"),
                               .high = constant.at("high"),
                               .is_logarithmic = constant.at("is_logarithmic")});
  }
  return event;
}

StopRequested stop_from(const Json& json) {
  StopRequested event;
  for (const auto& evaluation : json.at("begun")) event.begun.push_back({evaluation});
  return event;
}

/// What a command leaves in the log; nothing for those that only ask for work, except where users
/// would wonder why.
struct DerivedOf {
  using Result = std::optional<Derived>;

  Result operator()(const AddVariant& command) const {
    Json parents = Json::array();
    for (const auto& parent : command.parents) parents.push_back(parent.value);
    Json payload = {{"variant", command.variant.value},
                    {"parents", std::move(parents)},
                    {"generation", command.generation}};
    if (command.proposal) {
      payload["proposal"] = command.proposal->value;
      payload["operator"] = word(command.operation);
    }
    if (command.island) payload["island"] = *command.island;
    if (command.duplicate_of) payload["duplicate_of"] = command.duplicate_of->value;
    return Derived{"variant_added", std::move(payload)};
  }
  Result operator()(const SettleVariant& command) const {
    Json payload = {{"variant", command.variant.value},
                    {"state", word(command.state)},
                    {"metrics", command.metrics},
                    {"score", command.score ? Json(*command.score) : Json(nullptr)}};
    if (command.state != VariantState::duplicate) payload["outcome"] = word(command.outcome);
    // Only where there was a jump: logs of older versions have none of it.
    if (command.jump_score) {
      payload["confirmation"] = word(command.confirmation);
      payload["jump_score"] = *command.jump_score;
      payload["second_score"] = optional_json(command.second_score);
    }
    return Derived{"variant_settled", std::move(payload)};
  }
  Result operator()(const SetBest& command) const {
    return Derived{"best_changed", {{"variant", command.variant.value}, {"score", command.score}}};
  }
  Result operator()(const SetNoise& command) const {
    return Derived{"noise_measured",
                   {{"deviation", command.deviation}, {"evaluations", command.evaluations}}};
  }
  Result operator()(const SetPhase& command) const {
    return Derived{"phase_changed",
                   {{"state", word(state_of(command))},
                    {"reason", word(command.reason)},
                    {"explanation", command.explanation}}};
  }
  Result operator()(const RequestProposal&) const { return std::nullopt; }
  Result operator()(const FindConstants&) const { return std::nullopt; }
  Result operator()(const RequestEvaluation& command) const {
    if (!command.jump) return std::nullopt;
    return Derived{"confirmation_requested",
                   {{"variant", command.variant.value},
                    {"evaluation", command.evaluation.value},
                    {"score", command.jump->score},
                    {"best_score", command.jump->best},
                    {"sigma", command.jump->sigma}}};
  }
  Result operator()(const CancelProposals&) const { return std::nullopt; }
  Result operator()(const CancelEvaluations&) const { return std::nullopt; }
};

}  // namespace

CampaignState state_of(const SetPhase& command) {
  switch (command.phase) {
    case Phase::running: return CampaignState::running;
    case Phase::paused: return CampaignState::paused;
    case Phase::draining: return CampaignState::draining;
    case Phase::finalizing: return CampaignState::finalizing;
    case Phase::ended: break;
  }
  if (command.reason == EndReason::user) return CampaignState::stopped;
  if (command.reason == EndReason::failure) return CampaignState::failed;
  return CampaignState::succeeded;
}

std::optional<Derived> derived_of(const Command& command) {
  return std::visit(DerivedOf{}, command);
}

bool is_input(std::string_view type) {
  return std::ranges::find(kInputTypes, type) != std::end(kInputTypes);
}

std::string type_of(const Event& event) { return std::visit(TypeOf{}, event); }

Json to_json(const Event& event) { return std::visit(PayloadOf{}, event); }

Event event_from_json(std::string_view type, const Json& json) {
  if (type == "campaign_created") {
    return Started{.seed_token_digest = json.at("seed_token_digest"),
                   .seed_source_tokens = json.at("seed_source_tokens")};
  }
  if (type == "proposal_finished") return proposal_from(json);
  if (type == "evaluation_finished") return evaluation_from(json);
  if (type == "constants_found") return constants_from(json);
  if (type == "attempt_charged") {
    return AttemptCharged{.tokens = json.at("tokens"),
                          .cost_micro_usd = json.at("cost_micro_usd"),
                          .gpu_time_ms = json.at("gpu_time_ms")};
  }
  if (type == "pause_requested") return PauseRequested{};
  if (type == "resume_requested") return ResumeRequested{};
  if (type == "stop_requested") return stop_from(json);
  if (type == "time_passed") return TimePassed{.running_ms = json.at("running_ms")};
  throw std::runtime_error("unknown type of input: " + std::string(type));
}

}  // namespace cambrian::coordinator::journal
