#include <stdexcept>

#include "coordinator/adapters/postgres/codec.hpp"

// The inputs of the search as JSON. docs/events.md describes these objects to users: fields may be
// added, never changed.
namespace cambrian::coordinator::postgres {
namespace {

using namespace search;

struct TypeOf {
  std::string operator()(const Started&) const { return "campaign_created"; }
  std::string operator()(const ProposalFinished&) const { return "proposal_finished"; }
  std::string operator()(const EvaluationFinished&) const { return "evaluation_finished"; }
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
            {"is_quota_exhausted", event.is_quota_exhausted}};
  }
  Json operator()(const EvaluationFinished& event) const {
    return {{"evaluation", event.evaluation.value},
            {"outcome", word(event.outcome)},
            {"metrics", event.metrics},
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
                         .is_quota_exhausted = json.at("is_quota_exhausted")};
  for (const auto& variant : json.at("variants")) {
    event.variants.push_back(
        {.token_digest = variant.at("token_digest"), .source_tokens = variant.at("source_tokens")});
  }
  return event;
}

EvaluationFinished evaluation_from(const Json& json) {
  return {.evaluation = {json.at("evaluation")},
          .outcome = known_word<Outcome>(json.at("outcome").get<std::string>()),
          .metrics = json.at("metrics").get<std::map<std::string, double>>(),
          .gpu_time_ms = json.at("gpu_time_ms")};
}

StopRequested stop_from(const Json& json) {
  StopRequested event;
  for (const auto& evaluation : json.at("begun")) event.begun.push_back({evaluation});
  return event;
}

}  // namespace

std::string type_of(const Event& event) { return std::visit(TypeOf{}, event); }

Json to_json(const Event& event) { return std::visit(PayloadOf{}, event); }

Event event_from_json(std::string_view type, const Json& json) {
  if (type == "campaign_created") {
    return Started{.seed_token_digest = json.at("seed_token_digest"),
                   .seed_source_tokens = json.at("seed_source_tokens")};
  }
  if (type == "proposal_finished") return proposal_from(json);
  if (type == "evaluation_finished") return evaluation_from(json);
  if (type == "pause_requested") return PauseRequested{};
  if (type == "resume_requested") return ResumeRequested{};
  if (type == "stop_requested") return stop_from(json);
  if (type == "time_passed") return TimePassed{.running_ms = json.at("running_ms")};
  throw std::runtime_error("unknown type of input: " + std::string(type));
}

}  // namespace cambrian::coordinator::postgres
