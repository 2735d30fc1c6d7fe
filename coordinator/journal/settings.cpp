#include "coordinator/journal/codec.hpp"

namespace cambrian::coordinator::journal {
namespace {

Json to_json(const search::Budget& budget) {
  return {{"evaluations", budget.evaluations},
          {"tokens", budget.tokens},
          {"cost_micro_usd", budget.cost_micro_usd},
          {"gpu_time_ms", budget.gpu_time_ms},
          {"wall_time_ms", budget.wall_time_ms}};
}

Json lists_to_json(const search::Settings& settings) {
  Json objectives = Json::array();
  for (const auto& objective : settings.objectives) {
    objectives.push_back({{"metric", objective.metric},
                          {"goal", word(objective.goal)},
                          {"target", optional_json(objective.target)}});
  }
  Json features = Json::array();
  for (const auto& feature : settings.features) {
    features.push_back({{"metric", feature.metric},
                        {"bins", feature.bins},
                        {"minimum", feature.minimum},
                        {"maximum", feature.maximum},
                        {"is_logarithmic", feature.is_logarithmic}});
  }
  Json constraints = Json::array();
  for (const auto& constraint : settings.constraints) {
    constraints.push_back({{"metric", constraint.metric},
                           {"minimum", optional_json(constraint.minimum)},
                           {"maximum", optional_json(constraint.maximum)}});
  }
  Json operators = Json::array();
  for (const auto& share : settings.operators) {
    operators.push_back({{"kind", word(share.kind)}, {"weight", share.weight}});
  }
  Json models = Json::array();
  for (const auto& share : settings.models) {
    models.push_back({{"model", share.model},
                      {"weight", share.weight},
                      {"temperature", optional_json(share.temperature)}});
  }
  return {{"objectives", objectives},
          {"features", features},
          {"constraints", constraints},
          {"operators", operators},
          {"models", models}};
}

void lists_from_json(const Json& json, search::Settings& settings) {
  for (const auto& objective : json.at("objectives")) {
    settings.objectives.push_back({.metric = objective.at("metric"),
                                   .goal = read_word<search::Goal>(objective.at("goal")),
                                   .target = optional_from<double>(objective.at("target"))});
  }
  for (const auto& feature : json.at("features")) {
    settings.features.push_back({.metric = feature.at("metric"),
                                 .bins = feature.at("bins"),
                                 .minimum = feature.at("minimum"),
                                 .maximum = feature.at("maximum"),
                                 .is_logarithmic = feature.at("is_logarithmic")});
  }
  // Older versions did not write them.
  for (const auto& constraint : json.value("constraints", Json::array())) {
    settings.constraints.push_back({.metric = constraint.at("metric"),
                                    .minimum = optional_from<double>(constraint.at("minimum")),
                                    .maximum = optional_from<double>(constraint.at("maximum"))});
  }
  for (const auto& share : json.at("operators")) {
    settings.operators.push_back(
        {.kind = read_word<search::Operator>(share.at("kind")), .weight = share.at("weight")});
  }
  for (const auto& share : json.at("models")) {
    settings.models.push_back({.model = share.at("model"),
                               .weight = share.at("weight"),
                               .temperature = optional_from<double>(share.at("temperature"))});
  }
}

}  // namespace

Json to_json(const search::Settings& settings) {
  Json json = lists_to_json(settings);
  json["seed"] = settings.seed;
  json["policy"] = word(settings.policy);
  json["islands"] = settings.islands;
  json["island_size"] = settings.island_size;
  json["migration_interval"] = settings.migration_interval;
  json["migration_fraction"] = settings.migration_fraction;
  json["reset_interval"] = settings.reset_interval;
  json["climb_from"] = settings.climb_from;
  json["selection"] = word(settings.selection);
  json["learns_shares"] = settings.learns_shares;
  json["children"] = settings.children;
  json["generations"] = settings.generations;
  json["tune_evaluations"] = settings.tune_evaluations;
  json["exploitation"] = settings.exploitation;
  json["inspirations"] = settings.inspirations;
  json["failures"] = settings.failures;
  json["repeats"] = settings.repeats;
  json["races"] = settings.races;
  json["evaluation_seed"] = optional_json(settings.evaluation_seed);
  json["noise_repeats"] = settings.noise_repeats;
  json["final_repeats"] = settings.final_repeats;
  json["confirm_sigma"] = settings.confirm_sigma;
  json["evaluations_parallel"] = settings.evaluations_parallel;
  json["proposals_parallel"] = settings.proposals_parallel;
  json["variants_per_proposal"] = settings.variants_per_proposal;
  json["tokens_reserved"] = settings.tokens_reserved;
  json["cost_reserved_micro_usd"] = settings.cost_reserved_micro_usd;
  json["budget"] = to_json(settings.budget);
  return json;
}

search::Settings settings_from_json(const Json& json) {
  search::Settings settings;
  lists_from_json(json, settings);
  settings.seed = json.at("seed");
  settings.policy = read_word<search::PolicyKind>(json.at("policy"));
  settings.islands = json.at("islands");
  settings.island_size = json.at("island_size");
  settings.migration_interval = json.at("migration_interval");
  settings.migration_fraction = json.at("migration_fraction");
  settings.reset_interval = json.value("reset_interval", settings.reset_interval);
  settings.climb_from = json.value("climb_from", settings.climb_from);
  if (json.contains("selection")) {
    settings.selection = read_word<search::Selection>(json.at("selection"));
  }
  settings.learns_shares = json.value("learns_shares", settings.learns_shares);
  settings.children = json.at("children");
  settings.generations = json.value("generations", settings.generations);
  settings.tune_evaluations = json.value("tune_evaluations", settings.tune_evaluations);
  settings.exploitation = json.at("exploitation");
  settings.inspirations = json.at("inspirations");
  settings.failures = json.at("failures");
  settings.repeats = json.at("repeats");
  settings.races = json.value("races", settings.races);
  settings.evaluation_seed =
      optional_from<std::uint64_t>(json.value("evaluation_seed", Json(nullptr)));
  settings.noise_repeats = json.value("noise_repeats", settings.noise_repeats);
  settings.final_repeats = json.at("final_repeats");
  settings.confirm_sigma = json.value("confirm_sigma", settings.confirm_sigma);
  settings.evaluations_parallel = json.at("evaluations_parallel");
  settings.proposals_parallel = json.at("proposals_parallel");
  settings.variants_per_proposal = json.at("variants_per_proposal");
  settings.tokens_reserved = json.at("tokens_reserved");
  settings.cost_reserved_micro_usd = json.at("cost_reserved_micro_usd");
  settings.budget = budget_from_json(json.at("budget"));
  return settings;
}

search::Budget budget_from_json(const Json& json) {
  return {.evaluations = json.at("evaluations"),
          .tokens = json.at("tokens"),
          .cost_micro_usd = json.at("cost_micro_usd"),
          .gpu_time_ms = json.at("gpu_time_ms"),
          .wall_time_ms = json.at("wall_time_ms")};
}

}  // namespace cambrian::coordinator::journal
