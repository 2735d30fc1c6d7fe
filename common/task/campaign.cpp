#include "common/task/campaign.hpp"

#include <cmath>
#include <set>
#include <string>

#include "common/base/limits.hpp"
#include "common/config/nearest.hpp"
#include "common/digest/sha256.hpp"
#include "common/task/names.hpp"

namespace cambrian::task {
namespace {

// The bounds are the coordinator's: a test of its resolver compares them.
constexpr std::size_t kCampaignDescriptionBytesMax = 4 * 1024;
constexpr std::size_t kInstructionsBytesMax = 16 * 1024;
constexpr int kMapFeaturesMax = 6;
constexpr int kConstraintsMax = 8;

class CampaignChecker {
 public:
  explicit CampaignChecker(const spec::v1::CampaignSpec& spec) : spec_(spec) {}

  std::vector<FieldProblem> run() {
    check_head();
    check_search();
    check_operators();
    check_features();
    check_evaluation();
    check_codegen();
    check_budget();
    return std::move(problems_);
  }

 private:
  void require(bool is_good, std::string field, std::string message, std::string fix = "") {
    if (!is_good) problems_.push_back({std::move(field), std::move(message), std::move(fix)});
  }

  void range(double value, const std::string& field, double low, double high,
             const std::string& shown) {
    require(value >= low && value <= high, field, field + " is out of range", "use " + shown);
  }

  void check_head() {
    require(spec_.api_version() == "cambrian/v1", "api_version", "api_version must be cambrian/v1",
            "write api_version: cambrian/v1");
    require(spec_.kind() == "Campaign", "kind", "kind must be Campaign", "write kind: Campaign");
    require(is_resource_name(spec_.name()), "name", "name is missing or not a valid name",
            "use 1 to 63 lower case letters, digits and dashes");
    require(spec_.description().size() <= kCampaignDescriptionBytesMax, "description",
            "description is longer than 4 KiB");
    range(spec_.priority(), "priority", 0, 100, "0 to 100");
    const auto& task = spec_.task();
    require(!task.source().empty() || !task.digest().empty(), "task", "the campaign has no task",
            "write task: {source: FOLDER}");
    require(task.digest().empty() || is_sha256_hex(task.digest()), "task.digest",
            "task.digest is not a SHA-256", "write task.source, or 64 lower case hex digits");
    for (const auto& [name, value] : task.parameters()) {
      require(std::isfinite(value), "task.parameters." + name, "not a finite number: " + name);
    }
  }

  void check_search() {
    const auto& search = spec_.search();
    range(search.islands(), "search.islands", 0, 64, "1 to 64");
    range(search.island_size(), "search.island_size", 0, 100'000, "1 to 100000");
    range(search.migration_interval(), "search.migration_interval", 0, 1e6, "1 to 1000000");
    range(search.migration_fraction(), "search.migration_fraction", 0, 1, "0 to 1, or 10%");
    range(search.reset_interval(), "search.reset_interval", 0, 1e6, "1 to 1000000");
    range(search.climb_from(), "search.climb_from", 0, 1000, "0 to 1000");
    range(search.children(), "search.children", 0, 10'000, "1 to 10000");
    range(search.generations(), "search.generations", 0, 1e6, "1 to 1000000");
    range(search.exploitation(), "search.exploitation", 0, 1, "0 to 1, or 70%");
    range(search.inspirations(), "search.inspirations", 0, 8, "0 to 8");
    range(search.failures(), "search.failures", 0, 8, "0 to 8");
    require(search.constraints_size() <= kConstraintsMax, "search.constraints",
            "more than " + std::to_string(kConstraintsMax) + " constraints");
  }

  void check_operators() {
    std::set<int> seen;
    for (int i = 0; i < spec_.search().operators_size(); ++i) {
      const auto& share = spec_.search().operators(i);
      const std::string field = "search.operators[" + std::to_string(i) + "]";
      require(share.kind() != spec::v1::OPERATOR_UNSPECIFIED, field + ".kind",
              "the operator has no kind",
              "write kind: diff, rewrite, crossover, tune, repair, simplify or explain");
      require(share.weight() > 0 && std::isfinite(share.weight()), field + ".weight",
              "weight must be positive");
      require(seen.insert(share.kind()).second, field + ".kind", "the operator is named twice");
    }
  }

  void check_features() {
    require(spec_.search().features_size() <= kMapFeaturesMax, "search.features",
            "more than " + std::to_string(kMapFeaturesMax) + " features");
    for (int i = 0; i < spec_.search().features_size(); ++i) {
      const auto& feature = spec_.search().features(i);
      const std::string field = "search.features[" + std::to_string(i) + "]";
      require(is_identifier(feature.metric()), field + ".metric", "metric is missing or not valid");
      require(feature.bins() == 0 || (feature.bins() >= 2 && feature.bins() <= 64), field + ".bins",
              "bins must be 2 to 64");
      require(feature.maximum() > feature.minimum() &&
                  std::isfinite(feature.maximum() - feature.minimum()),
              field + ".maximum", "maximum must be larger than minimum, both finite");
      require(!feature.logarithmic() || feature.minimum() > 0, field + ".minimum",
              "a logarithmic axis needs a minimum above 0");
    }
  }

  void check_evaluation() {
    const auto& evaluation = spec_.evaluation();
    range(evaluation.repeats(), "evaluation.repeats", 0, 100, "1 to 100");
    range(evaluation.noise_repeats() == 1 ? -1 : evaluation.noise_repeats(),
          "evaluation.noise_repeats", 0, 100, "2 to 100, or 0");
    require(!evaluation.race() || evaluation.repeats() >= (evaluation.noise_repeats() > 0 ? 2 : 4),
            "evaluation.race", "too few repeats for a race",
            "use evaluation.repeats of at least 4, or 2 with evaluation.noise_repeats");
    require(!evaluation.race() || spec_.search().policy() != spec::v1::POLICY_PARETO,
            "evaluation.race", "the policy pareto has no single best variant to race against",
            "use another policy");
    range(evaluation.final_repeats(), "evaluation.final_repeats", 0, 100, "1 to 100");
    range(evaluation.confirm_sigma(), "evaluation.confirm_sigma", 0, 1000, "0 to 1000");
    range(evaluation.parallel(), "evaluation.parallel", 0, 100'000, "1 to 100000");
    if (evaluation.has_early_stop()) check_early_stop(evaluation.early_stop());
  }

  void check_early_stop(const spec::v1::EarlyStop& rule) {
    const std::string field = "evaluation.early_stop";
    require(rule.rungs_size() <= kRungsMax, field + ".rungs",
            "more than " + std::to_string(kRungsMax) + " rungs");
    double last = 0;
    for (const double rung : rule.rungs()) {
      require(rung > last && rung < 1, field + ".rungs", "a rung is out of order or out of range",
              "write shares of the training in ascending order, for example [0.25, 0.5]");
      last = rung;
    }
    require(rule.minimum() == 0 || (rule.minimum() >= 2 && rule.minimum() <= 10'000),
            field + ".minimum", field + ".minimum is out of range", "use 2 to 10000");
    require(rule.keep() >= 0 && rule.keep() < 1, field + ".keep", field + ".keep is out of range",
            "use a share above 0 and below 1");
  }

  void check_codegen() {
    const auto& codegen = spec_.codegen();
    for (int i = 0; i < codegen.models_size(); ++i) {
      const auto& share = codegen.models(i);
      const std::string field = "codegen.models[" + std::to_string(i) + "]";
      require(share.weight() >= 0 && std::isfinite(share.weight()), field + ".weight",
              "weight must be positive");
      require(!share.has_temperature() || (share.temperature() >= 0 && share.temperature() <= 2),
              field + ".temperature", "temperature is out of range", "use 0 to 2");
    }
    range(codegen.output_tokens(), "codegen.output_tokens", 0, 1e6, "1 to 1000000");
    range(codegen.variants(), "codegen.variants", 0, 16, "1 to 16");
    range(codegen.parallel(), "codegen.parallel", 0, 10'000, "1 to 10000");
    require(codegen.instructions().size() <= kInstructionsBytesMax, "codegen.instructions",
            "instructions are longer than 16 KiB");
    check_prompts();
  }

  void check_prompts() {
    std::set<int> seen;
    for (int i = 0; i < spec_.codegen().prompts_size(); ++i) {
      const auto& prompt = spec_.codegen().prompts(i);
      const std::string field = "codegen.prompts[" + std::to_string(i) + "]";
      require(prompt.operator_() != spec::v1::OPERATOR_UNSPECIFIED &&
                  prompt.operator_() != spec::v1::OPERATOR_TUNE,
              field + ".operator", "the prompt names no operator that asks a model",
              "write operator: diff, rewrite, crossover, repair, simplify or explain");
      require(seen.insert(prompt.operator_()).second, field + ".operator",
              "the operator is named twice");
      require(prompt.text().empty() != prompt.file().empty(), field,
              "the prompt has no text, or two", "write one of text and file");
      require(prompt.text().size() <= kPromptBytesMax, field + ".text",
              "the prompt is longer than 8 KiB");
    }
  }

  void check_budget() {
    const auto& budget = spec_.budget();
    range(static_cast<double>(budget.evaluations()), "budget.evaluations", 0, 1e9, "1 to 1e9");
    range(static_cast<double>(budget.tokens()), "budget.tokens", 0, 1e15, "a positive number");
    range(budget.cost_usd(), "budget.cost_usd", 0, 1e9, "a positive number");
    const auto is_set = [](const google::protobuf::Duration& duration) {
      return duration.seconds() > 0 || duration.nanos() > 0;
    };
    require(budget.evaluations() > 0 || budget.tokens() > 0 || budget.cost_usd() > 0 ||
                is_set(budget.gpu_time()) || is_set(budget.wall_time()),
            "budget", "the campaign has no budget",
            "write at least one of evaluations, tokens, cost_usd, gpu_time, wall_time");
  }

  const spec::v1::CampaignSpec& spec_;
  std::vector<FieldProblem> problems_;
};

}  // namespace

std::vector<FieldProblem> check_campaign(const spec::v1::CampaignSpec& spec) {
  return CampaignChecker(spec).run();
}

std::vector<FieldProblem> check_campaign_against(const spec::v1::CampaignSpec& spec,
                                                 const spec::v1::TaskManifest& manifest) {
  std::vector<FieldProblem> problems;
  std::vector<std::string> names;
  for (const auto& [name, value] : manifest.parameters()) names.push_back(name);
  for (const auto& [name, value] : spec.task().parameters()) {
    if (manifest.parameters().contains(name)) continue;
    const auto nearest = nearest_name(name, names);
    problems.push_back({"task.parameters." + name,
                        "the task " + manifest.name() + " has no parameter \"" + name + "\"",
                        nearest ? "did you mean \"" + *nearest + "\"?" : ""});
  }
  if (spec.evaluation().has_early_stop() && manifest.judge().rung_metric().empty()) {
    problems.push_back({"evaluation.early_stop",
                        "the judge of the task " + manifest.name() + " asks nothing at rungs",
                        "leave early_stop out, or name judge.rung_metric in task.yaml if the judge "
                        "measures it there"});
  }
  return problems;
}

}  // namespace cambrian::task
