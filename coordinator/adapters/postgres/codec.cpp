#include "coordinator/adapters/postgres/codec.hpp"

#include <type_traits>

namespace cambrian::coordinator::postgres {
namespace {

using Metrics = std::map<std::string, double>;

template <class T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

template <class T>
std::optional<T> optional_from(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<T>();
}

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
          {"operators", operators},
          {"models", models}};
}

void lists_from_json(const Json& json, search::Settings& settings) {
  for (const auto& objective : json.at("objectives")) {
    settings.objectives.push_back(
        {.metric = objective.at("metric"),
         .goal = known_word<search::Goal>(objective.at("goal").get<std::string>()),
         .target = optional_from<double>(objective.at("target"))});
  }
  for (const auto& feature : json.at("features")) {
    settings.features.push_back({.metric = feature.at("metric"),
                                 .bins = feature.at("bins"),
                                 .minimum = feature.at("minimum"),
                                 .maximum = feature.at("maximum"),
                                 .is_logarithmic = feature.at("is_logarithmic")});
  }
  for (const auto& share : json.at("operators")) {
    settings.operators.push_back(
        {.kind = known_word<search::Operator>(share.at("kind").get<std::string>()),
         .weight = share.at("weight")});
  }
  for (const auto& share : json.at("models")) {
    settings.models.push_back({.model = share.at("model"),
                               .weight = share.at("weight"),
                               .temperature = optional_from<double>(share.at("temperature"))});
  }
}

Json to_json(const search::Settings& settings) {
  Json json = lists_to_json(settings);
  json["seed"] = settings.seed;
  json["policy"] = word(settings.policy);
  json["islands"] = settings.islands;
  json["island_size"] = settings.island_size;
  json["migration_interval"] = settings.migration_interval;
  json["migration_fraction"] = settings.migration_fraction;
  json["children"] = settings.children;
  json["exploitation"] = settings.exploitation;
  json["inspirations"] = settings.inspirations;
  json["failures"] = settings.failures;
  json["repeats"] = settings.repeats;
  json["final_repeats"] = settings.final_repeats;
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
  settings.policy = known_word<search::PolicyKind>(json.at("policy").get<std::string>());
  settings.islands = json.at("islands");
  settings.island_size = json.at("island_size");
  settings.migration_interval = json.at("migration_interval");
  settings.migration_fraction = json.at("migration_fraction");
  settings.children = json.at("children");
  settings.exploitation = json.at("exploitation");
  settings.inspirations = json.at("inspirations");
  settings.failures = json.at("failures");
  settings.repeats = json.at("repeats");
  settings.final_repeats = json.at("final_repeats");
  settings.evaluations_parallel = json.at("evaluations_parallel");
  settings.proposals_parallel = json.at("proposals_parallel");
  settings.variants_per_proposal = json.at("variants_per_proposal");
  settings.tokens_reserved = json.at("tokens_reserved");
  settings.cost_reserved_micro_usd = json.at("cost_reserved_micro_usd");
  settings.budget = budget_from_json(json.at("budget"));
  return settings;
}

}  // namespace

search::Budget budget_from_json(const Json& json) {
  return {.evaluations = json.at("evaluations"),
          .tokens = json.at("tokens"),
          .cost_micro_usd = json.at("cost_micro_usd"),
          .gpu_time_ms = json.at("gpu_time_ms"),
          .wall_time_ms = json.at("wall_time_ms")};
}

Json to_json(const CampaignDefinition& definition) {
  return {{"settings", to_json(definition.settings)},
          {"seed_token_digest", definition.started.seed_token_digest},
          {"seed_source_tokens", definition.started.seed_source_tokens},
          {"seed_files", to_json(definition.seed_files)},
          {"parameters", definition.parameters},
          {"instructions", definition.instructions},
          {"output_tokens", definition.output_tokens},
          {"runtime", definition.runtime},
          {"sandbox_level", definition.sandbox_level},
          {"gpus", definition.gpus},
          {"attempt_budget_min_ms", definition.attempt_budget_min.count()}};
}

CampaignDefinition definition_from_json(const Json& json) {
  CampaignDefinition definition;
  definition.settings = settings_from_json(json.at("settings"));
  definition.started = {.seed_token_digest = json.at("seed_token_digest"),
                        .seed_source_tokens = json.at("seed_source_tokens")};
  definition.seed_files = files_from_json(json.at("seed_files"));
  definition.parameters = json.at("parameters").get<Metrics>();
  definition.instructions = json.at("instructions");
  definition.output_tokens = json.at("output_tokens");
  definition.runtime = json.at("runtime");
  definition.sandbox_level = json.at("sandbox_level");
  definition.gpus = json.at("gpus");
  definition.attempt_budget_min =
      milliseconds(json.at("attempt_budget_min_ms").get<std::int64_t>());
  return definition;
}

Json to_json(const std::vector<SourceFile>& files) {
  Json json = Json::array();
  for (const auto& file : files) json.push_back({{"path", file.path}, {"sha256", file.sha256}});
  return json;
}

std::vector<SourceFile> files_from_json(const Json& json) {
  std::vector<SourceFile> files;
  for (const auto& file : json) {
    files.push_back({.path = file.at("path"), .sha256 = file.at("sha256")});
  }
  return files;
}

Json to_json(const AgentDescription& agent) {
  Json gpus = Json::array();
  for (const auto& gpu : agent.gpus) {
    gpus.push_back({{"id", gpu.id}, {"name", gpu.name}, {"memory_bytes", gpu.memory_bytes}});
  }
  return {{"version", agent.version}, {"protocol_version", agent.protocol_version},
          {"slots", agent.slots},     {"runtimes", agent.runtimes},
          {"models", agent.models},   {"sandbox_level", agent.sandbox_level},
          {"gpus", std::move(gpus)},  {"toolchain", agent.toolchain}};
}

AgentDescription agent_from_json(const Json& json) {
  AgentDescription agent;
  agent.version = json.at("version");
  agent.protocol_version = json.at("protocol_version");
  agent.slots = json.at("slots");
  agent.runtimes = json.at("runtimes").get<std::vector<std::string>>();
  agent.models = json.at("models").get<std::vector<std::string>>();
  agent.sandbox_level = json.at("sandbox_level");
  agent.toolchain = json.at("toolchain");
  for (const auto& gpu : json.at("gpus")) {
    agent.gpus.push_back(
        {.id = gpu.at("id"), .name = gpu.at("name"), .memory_bytes = gpu.at("memory_bytes")});
  }
  return agent;
}

Json to_json(const std::vector<Progress>& running) {
  Json json = Json::array();
  for (const auto& progress : running) {
    json.push_back({{"item", progress.lease.item.value},
                    {"epoch", progress.lease.epoch},
                    {"phase", progress.phase},
                    {"fraction", optional_json(progress.fraction)}});
  }
  return json;
}

std::vector<Progress> progress_from_json(const Json& json) {
  std::vector<Progress> running;
  for (const auto& progress : json) {
    running.push_back({.lease = {ItemId{progress.at("item")}, progress.at("epoch")},
                       .phase = progress.at("phase"),
                       .fraction = optional_from<double>(progress.at("fraction"))});
  }
  return running;
}

Json to_json(const std::vector<ProposedVariant>& variants) {
  Json json = Json::array();
  for (const auto& variant : variants) {
    json.push_back({{"files", to_json(variant.files)},
                    {"token_digest", variant.token_digest},
                    {"source_tokens", variant.source_tokens},
                    {"rationale", variant.rationale}});
  }
  return json;
}

std::vector<ProposedVariant> proposed_from_json(const Json& json) {
  std::vector<ProposedVariant> variants;
  for (const auto& variant : json) {
    variants.push_back({.files = files_from_json(variant.at("files")),
                        .token_digest = variant.at("token_digest"),
                        .source_tokens = variant.at("source_tokens"),
                        .rationale = variant.at("rationale")});
  }
  return variants;
}

std::string number_array(const std::vector<std::int64_t>& numbers) {
  std::string text = "{";
  for (const auto number : numbers) {
    if (text.size() > 1) text += ',';
    text += std::to_string(number);
  }
  return text + "}";
}

std::string text_array(const std::vector<std::string>& texts) {
  std::string array = "{";
  for (const auto& text : texts) {
    if (array.size() > 1) array += ',';
    array += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') array += '\\';
      array += c;
    }
    array += '"';
  }
  return array + "}";
}

Instant instant_of(const pqxx::field& field) {
  return Instant(std::chrono::microseconds(field.as<std::int64_t>()));
}

std::optional<Instant> optional_instant_of(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return instant_of(field);
}

Json json_of(const pqxx::field& field) { return Json::parse(field.view()); }

std::uint64_t seed_of(const pqxx::field& field) { return std::stoull(std::string(field.view())); }

}  // namespace cambrian::coordinator::postgres
