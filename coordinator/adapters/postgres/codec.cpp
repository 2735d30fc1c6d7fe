#include "coordinator/adapters/postgres/codec.hpp"

#include <type_traits>

namespace cambrian::coordinator::postgres {
namespace {

using Metrics = std::map<std::string, double>;

Json rule_to_json(const search::EarlyStop& rule) {
  return {{"rule", word(rule.rule)},
          {"rungs", rule.rungs},
          {"minimum", rule.minimum},
          {"keep", rule.keep}};
}

}  // namespace

search::EarlyStop early_stop_from_json(const Json& json) {
  return {.rule = known_word<search::EarlyStopRule>(json.at("rule").get<std::string>()),
          .rungs = json.at("rungs").get<std::vector<double>>(),
          .minimum = json.at("minimum"),
          .keep = json.at("keep")};
}

Json to_json(const CampaignDefinition& definition) {
  Json json = {{"settings", to_json(definition.settings)},
               {"seed_token_digest", definition.started.seed_token_digest},
               {"seed_source_tokens", definition.started.seed_source_tokens},
               {"seed_files", to_json(definition.seed_files)},
               {"language", definition.language},
               {"parameters", definition.parameters},
               {"instructions", definition.instructions},
               {"prompts", definition.prompts},
               {"output_tokens", definition.output_tokens},
               {"reuses_results", definition.reuses_results},
               {"runtime", definition.runtime},
               {"sandbox_level", definition.sandbox_level},
               {"gpus", definition.gpus},
               {"attempt_budget_min_ms", definition.attempt_budget_min.count()}};
  if (definition.early_stop) json["early_stop"] = rule_to_json(*definition.early_stop);
  return json;
}

CampaignDefinition definition_from_json(const Json& json) {
  CampaignDefinition definition;
  definition.settings = journal::settings_from_json(json.at("settings"));
  definition.started = {.seed_token_digest = json.at("seed_token_digest"),
                        .seed_source_tokens = json.at("seed_source_tokens")};
  definition.seed_files = files_from_json(json.at("seed_files"));
  definition.language = json.value("language", "");
  definition.parameters = json.at("parameters").get<Metrics>();
  definition.instructions = json.at("instructions");
  definition.prompts =
      json.value("prompts", Json::object()).get<std::map<std::string, std::string>>();
  definition.output_tokens = json.at("output_tokens");
  definition.reuses_results = json.value("reuses_results", false);
  if (json.contains("early_stop")) {
    definition.early_stop = early_stop_from_json(json.at("early_stop"));
  }
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

namespace {

Json gpus_to_json(const std::vector<Gpu>& gpus) {
  Json json = Json::array();
  for (const auto& gpu : gpus) {
    json.push_back({{"id", gpu.id},
                    {"name", gpu.name},
                    {"memory_bytes", gpu.memory_bytes},
                    {"trouble", gpu.trouble}});
  }
  return json;
}

std::vector<Gpu> gpus_from_json(const Json& json) {
  std::vector<Gpu> gpus;
  for (const auto& gpu : json) {
    gpus.push_back({.id = gpu.at("id"),
                    .name = gpu.at("name"),
                    .memory_bytes = gpu.at("memory_bytes"),
                    .trouble = gpu.value("trouble", std::string())});
  }
  return gpus;
}

}  // namespace

Json to_json(const AgentDescription& agent) {
  return {{"version", agent.version},
          {"protocol_version", agent.protocol_version},
          {"slots", agent.slots},
          {"runtimes", agent.runtimes},
          {"models", agent.models},
          {"sandbox_level", agent.sandbox_level},
          {"gpus", gpus_to_json(agent.gpus)},
          {"broken_gpus", gpus_to_json(agent.broken_gpus)},
          {"toolchain", agent.toolchain},
          {"sandbox_walls", agent.sandbox_walls},
          {"trouble", agent.trouble}};
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
  agent.sandbox_walls = json.value("sandbox_walls", std::vector<std::string>());
  agent.trouble = json.value("trouble", std::string());
  agent.gpus = gpus_from_json(json.at("gpus"));
  agent.broken_gpus = gpus_from_json(json.value("broken_gpus", Json::array()));
  return agent;
}

Json to_json(const std::vector<Progress>& running) {
  Json json = Json::array();
  for (const auto& progress : running) {
    json.push_back({{"item", progress.lease.item.value},
                    {"epoch", progress.lease.epoch},
                    {"phase", progress.phase},
                    {"fraction", journal::optional_json(progress.fraction)},
                    {"step", journal::optional_json(progress.step)},
                    {"loss", journal::optional_json(progress.loss)}});
  }
  return json;
}

std::vector<Progress> progress_from_json(const Json& json) {
  std::vector<Progress> running;
  for (const auto& progress : json) {
    running.push_back({.lease = {ItemId{progress.at("item")}, progress.at("epoch")},
                       .phase = progress.at("phase"),
                       .fraction = journal::optional_from<double>(progress.at("fraction")),
                       // An older coordinator did not write them.
                       .step = journal::optional_from<std::int64_t>(progress.value("step", Json())),
                       .loss = journal::optional_from<double>(progress.value("loss", Json()))});
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
