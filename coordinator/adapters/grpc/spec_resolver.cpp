#include "coordinator/adapters/grpc/spec_resolver.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "common/base/limits.hpp"
#include "common/digest/sha256.hpp"
#include "common/task/names.hpp"
#include "common/task/task_folder.hpp"
#include "coordinator/search/settings.hpp"

namespace cambrian::coordinator::wire {
namespace {

using spec::v1::CampaignSpec;
using spec::v1::TaskManifest;

constexpr std::size_t kInstructionsBytesMax = 16 * 1024;
constexpr std::size_t kPromptBytesMax = 8 * 1024;
constexpr std::size_t kDescriptionBytesMax = 4 * 1024;
constexpr std::size_t kModelBytesMax = 256;
constexpr int kOutputTokensMax = 1'000'000;
constexpr double kMicro = 1e6;
constexpr int kRungMinimumMax = 10'000;
constexpr milliseconds kCompileTimeDefault{120'000};
constexpr milliseconds kRunTimeDefault{300'000};
/// Beside compile and run: fetching, building the judge, checking the device.
constexpr milliseconds kAttemptSlack{180'000};
/// Tokens of a prompt beside the programs in it and the campaign's own words.
constexpr std::int64_t kPromptTokens = 3'000;
/// A hint may come, and what helped of late.
constexpr std::int64_t kLaterBytes = 4096 + 5 * 512;
/// A token is seldom shorter; the reserve must not be too small.
constexpr std::int64_t kBytesPerToken = 3;
/// Proposals in flight may reserve this share of the budget together.
constexpr double kReservedRatio = 0.25;

template <class T>
void default_to(T& value, T fallback) {
  if (value == T{}) value = fallback;
}

// A campaign that runs all its evaluations at once learns nothing from the first for the last: on
// a synthetic landscape 300 evaluations, 64 at once, closed a third of the gap that they close 4 at
// once. So small budgets are run by few at once.
int default_parallel(const spec::v1::Budget& budget) {
  constexpr std::int64_t kRounds = 16;
  if (budget.evaluations() == 0) return 64;
  return static_cast<int>(std::clamp<std::int64_t>(budget.evaluations() / kRounds, 4, 64));
}

void fill_early_stop(spec::v1::EarlyStop& rule) {
  const search::EarlyStop defaults;
  if (rule.rule() == spec::v1::EARLY_STOP_RULE_UNSPECIFIED) {
    rule.set_rule(spec::v1::EARLY_STOP_RULE_MEDIAN);
  }
  if (rule.rungs().empty()) rule.mutable_rungs()->Add(defaults.rungs.begin(), defaults.rungs.end());
  if (rule.minimum() == 0) rule.set_minimum(defaults.minimum);
  if (rule.keep() == 0) rule.set_keep(defaults.keep);
}

void fill_search(const TaskManifest& task, const SeedFacts& seed, CampaignSpec& spec) {
  auto& search = *spec.mutable_search();
  if (search.policy() == spec::v1::POLICY_UNSPECIFIED) search.set_policy(spec::v1::POLICY_ISLANDS);
  const auto evaluations = std::max<std::int64_t>(0, spec.budget().evaluations());
  if (search.islands() == 0) search.set_islands(search::default_islands(evaluations));
  if (search.island_size() == 0) search.set_island_size(60);
  if (search.migration_interval() == 0) search.set_migration_interval(40);
  if (search.migration_fraction() == 0) search.set_migration_fraction(0.1);
  if (search.reset_interval() == 0) {
    search.set_reset_interval(search::default_reset_interval(evaluations, search.islands()));
  }
  if (search.climb_from() == 0) search.set_climb_from(search::kClimbFromDefault);
  const bool is_sequential = search.policy() == spec::v1::POLICY_SEQUENTIAL;
  if (search.children() == 0) search.set_children(is_sequential ? 20 : 8);
  if (search.generations() == 0) search.set_generations(10);
  if (search.exploitation() == 0) search.set_exploitation(0.7);
  if (search.inspirations() == 0) search.set_inspirations(2);
  if (search.failures() == 0) search.set_failures(2);
  if (search.features().empty()) *search.mutable_features() = task.features();
  if (search.features().empty()) {
    // A quarter to four times the seed's length, so that the seed lies in the middle.
    auto* feature = search.add_features();
    const auto tokens = static_cast<double>(std::max<std::int64_t>(seed.source_tokens, 16));
    feature->set_metric("source_tokens");
    feature->set_minimum(std::floor(tokens / 4));
    feature->set_maximum(std::ceil(tokens * 4));
    feature->set_logarithmic(true);
  }
  for (auto& feature : *search.mutable_features()) {
    if (feature.bins() == 0) feature.set_bins(8);
  }
  const bool is_tuning = std::ranges::any_of(search.operators(), [](const auto& share) {
    return share.kind() == spec::v1::OPERATOR_TUNE;
  });
  if (is_tuning && search.tune_evaluations() == 0) search.set_tune_evaluations(40);
  if (!search.operators().empty()) return;
  const auto add = [&](spec::v1::Operator kind, double weight) {
    auto* share = search.add_operators();
    share->set_kind(kind);
    share->set_weight(weight);
  };
  add(spec::v1::OPERATOR_DIFF, 0.7);
  add(spec::v1::OPERATOR_REWRITE, 0.1);
  add(spec::v1::OPERATOR_CROSSOVER, 0.2);
}

/// Collects problems under the path of the request.
class Check {
 public:
  void require(bool is_good, const std::string& field, const std::string& description) {
    if (!is_good) problems_.push_back({"spec." + field, description});
  }
  Problems& problems() { return problems_; }

 private:
  Problems problems_;
};

/// PostgreSQL stores no NUL.
bool is_storable(const std::string& text, std::size_t bytes_max) {
  return text.size() <= bytes_max && text.find('\0') == std::string::npos;
}

bool is_one_line(const std::string& text) {
  return std::ranges::none_of(text, [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

void check_names(const CampaignSpec& spec, Check& check) {
  check.require(spec.api_version() == "cambrian/v1", "api_version", "must be cambrian/v1");
  check.require(spec.kind() == "Campaign", "kind", "must be Campaign");
  check.require(task::is_resource_name(spec.name()), "name",
                "must be lower case letters, digits and dashes, 1 to 63 characters");
  check.require(is_storable(spec.description(), kDescriptionBytesMax), "description",
                "must be at most 4 KiB, without NUL");
  const auto check_metrics = [&check](const auto& list, const std::string& name) {
    for (int i = 0; i < list.size(); ++i) {
      check.require(
          task::is_identifier(list[i].metric()), name + "[" + std::to_string(i) + "].metric",
          "must begin with a letter and have letters, digits, _ . and - only, at most 63");
    }
  };
  check_metrics(spec.search().features(), "search.features");
  check_metrics(spec.search().constraints(), "search.constraints");
  check.require(is_sha256_hex(spec.task().digest()), "task.digest",
                "must be the digest of a registered task, 64 hex digits");
  check.require(spec.priority() >= 0 && spec.priority() <= 100, "priority", "must be 0 to 100");
}

void check_parameters(const TaskManifest& task, const CampaignSpec& spec, Check& check) {
  for (const auto& [name, value] : spec.task().parameters()) {
    check.require(task.parameters().contains(name), "task.parameters." + name,
                  "the task has no such parameter");
    check.require(std::isfinite(value), "task.parameters." + name, "must be finite");
  }
}

void check_codegen(const CampaignSpec& spec, Check& check) {
  const auto& codegen = spec.codegen();
  check.require(codegen.output_tokens() > 0 && codegen.output_tokens() <= kOutputTokensMax,
                "codegen.output_tokens", "must be 1 to 1000000");
  check.require(is_storable(codegen.instructions(), kInstructionsBytesMax), "codegen.instructions",
                "must be at most 16 KiB, without NUL");
  for (int i = 0; i < codegen.models_size(); ++i) {
    const auto& model = codegen.models(i).model();
    check.require(is_storable(model, kModelBytesMax) && is_one_line(model),
                  "codegen.models[" + std::to_string(i) + "].model",
                  "must be at most 256 bytes, without control characters");
  }
}

void check_early_stop(const TaskManifest& task, const CampaignSpec& spec, Check& check) {
  if (!spec.evaluation().has_early_stop()) return;
  const auto& rule = spec.evaluation().early_stop();
  const std::string field = "evaluation.early_stop";
  check.require(!task.judge().rung_metric().empty(), field,
                "the judge of the task " + task.name() +
                    " asks nothing at rungs (its task.yaml has no judge.rung_metric): leave "
                    "early_stop out");
  check.require(spec::v1::EarlyStopRule_IsValid(rule.rule()), field + ".rule",
                "this coordinator does not know it: " + std::to_string(rule.rule()));
  check.require(rule.rungs_size() <= kRungsMax, field + ".rungs", "must be 1 to 16");
  double last = 0;
  for (const double rung : rule.rungs()) {
    check.require(rung > last && rung < 1, field + ".rungs",
                  "must be ascending, each above 0 and below 1");
    last = rung;
  }
  check.require(rule.minimum() >= 2 && rule.minimum() <= kRungMinimumMax, field + ".minimum",
                "must be 2 to 10000");
  check.require(rule.keep() > 0 && rule.keep() < 1, field + ".keep", "must be above 0 and below 1");
}

void check_prompts(const CampaignSpec& spec, Check& check) {
  std::set<int> seen;
  for (int i = 0; i < spec.codegen().prompts_size(); ++i) {
    const auto& prompt = spec.codegen().prompts(i);
    const auto field = "codegen.prompts[" + std::to_string(i) + "]";
    check.require(spec::v1::Operator_IsValid(prompt.operator_()) &&
                      prompt.operator_() != spec::v1::OPERATOR_UNSPECIFIED &&
                      prompt.operator_() != spec::v1::OPERATOR_TUNE,
                  field + ".operator", "must be an operator that asks a model");
    check.require(seen.insert(prompt.operator_()).second, field + ".operator", "is named twice");
    check.require(!prompt.text().empty() && is_storable(prompt.text(), kPromptBytesMax),
                  field + ".text", "must be 1 byte to 8 KiB, without NUL");
    check.require(prompt.file().empty(), field + ".file",
                  "is read by the command line alone: send the text");
  }
}

/// A newer client may know enumerators that we do not.
void check_enumerators(const CampaignSpec& spec, Check& check) {
  check.require(spec::v1::Selection_IsValid(spec.search().selection()), "search.selection",
                "this coordinator does not know it: " + std::to_string(spec.search().selection()));
  check.require(spec::v1::Policy_IsValid(spec.search().policy()), "search.policy",
                "this coordinator does not know it: " + std::to_string(spec.search().policy()));
  const auto& operators = spec.search().operators();
  for (int i = 0; i < operators.size(); ++i) {
    const auto kind = operators[i].kind();
    const auto field = "search.operators[" + std::to_string(i) + "].kind";
    check.require(kind != spec::v1::OPERATOR_UNSPECIFIED, field, "must be set");
    check.require(spec::v1::Operator_IsValid(kind), field,
                  "this coordinator does not know it: " + std::to_string(kind));
  }
}

void check_budget(const CampaignSpec& spec, Check& check) {
  const auto& budget = spec.budget();
  const auto gpu_time = from_proto(budget.gpu_time());
  const auto wall_time = from_proto(budget.wall_time());
  check.require(
      std::isfinite(budget.cost_usd()) && budget.cost_usd() >= 0 && budget.cost_usd() <= 1e9,
      "budget.cost_usd", "must be 0 to 1e9");
  const bool has_any = budget.evaluations() != 0 || budget.tokens() != 0 ||
                       budget.cost_usd() != 0 || gpu_time.count() != 0 || wall_time.count() != 0;
  check.require(
      has_any, "budget",
      "at least one of evaluations, tokens, cost_usd, gpu_time and wall_time must be set");
}

search::Budget budget_of(const spec::v1::Budget& budget) {
  const double cost = std::isfinite(budget.cost_usd()) ? budget.cost_usd() : 0;
  return {.evaluations = budget.evaluations(),
          .tokens = budget.tokens(),
          .cost_micro_usd =
              static_cast<std::int64_t>(std::llround(std::clamp(cost, -1e9, 1e9) * kMicro)),
          .gpu_time_ms = from_proto(budget.gpu_time()).count(),
          .wall_time_ms = from_proto(budget.wall_time()).count()};
}

/// What one proposal may use: its programs, the frame around them, its answers.
std::int64_t tokens_of_proposal(const SeedFacts& seed, const CampaignSpec& spec) {
  const auto& search = spec.search();
  const std::int64_t programs = 2 + search.inspirations() + search.failures();
  std::size_t words = spec.codegen().instructions().size();
  std::size_t longest = 0;
  for (const auto& own : spec.codegen().prompts()) longest = std::max(longest, own.text().size());
  words += longest;
  const std::int64_t prompt = kPromptTokens + programs * (seed.source_bytes / kBytesPerToken) +
                              (static_cast<std::int64_t>(words) + kLaterBytes) / kBytesPerToken;
  // Every variant is a request of its own, with the whole prompt.
  return (prompt + std::int64_t{spec.codegen().output_tokens()}) * spec.codegen().variants();
}

search::Operator operator_of(spec::v1::Operator kind) {
  return static_cast<search::Operator>(std::max(0, kind - spec::v1::OPERATOR_DIFF));
}

void fill_settings_lists(const TaskManifest& task, const CampaignSpec& spec,
                         search::Settings& settings) {
  for (const auto& objective : task.objectives()) {
    settings.objectives.push_back({.metric = objective.metric(),
                                   .goal = objective.goal() == spec::v1::GOAL_MINIMIZE
                                               ? search::Goal::minimize
                                               : search::Goal::maximize,
                                   .target = std::nullopt});
    if (objective.has_target()) settings.objectives.back().target = objective.target();
  }
  for (const auto& feature : spec.search().features()) {
    settings.features.push_back({.metric = feature.metric(),
                                 .bins = feature.bins(),
                                 .minimum = feature.minimum(),
                                 .maximum = feature.maximum(),
                                 .is_logarithmic = feature.logarithmic()});
  }
  for (const auto& constraint : spec.search().constraints()) {
    settings.constraints.push_back(
        {.metric = constraint.metric(), .minimum = std::nullopt, .maximum = std::nullopt});
    auto& added = settings.constraints.back();
    if (constraint.has_minimum()) added.minimum = constraint.minimum();
    if (constraint.has_maximum()) added.maximum = constraint.maximum();
  }
  for (const auto& share : spec.search().operators()) {
    settings.operators.push_back({.kind = operator_of(share.kind()), .weight = share.weight()});
  }
  for (const auto& share : spec.codegen().models()) {
    settings.models.push_back(
        {.model = share.model(), .weight = share.weight(), .temperature = std::nullopt});
    if (share.has_temperature()) settings.models.back().temperature = share.temperature();
  }
}

search::EarlyStop early_stop_of(const spec::v1::EarlyStop& rule) {
  return {.rule = rule.rule() == spec::v1::EARLY_STOP_RULE_HALVING ? search::EarlyStopRule::halving
                                                                   : search::EarlyStopRule::median,
          .rungs = {rule.rungs().begin(), rule.rungs().end()},
          .minimum = rule.minimum(),
          .keep = rule.keep()};
}

search::Settings settings_of(const TaskManifest& task, const SeedFacts& seed,
                             const CampaignSpec& spec) {
  search::Settings settings;
  const auto& search = spec.search();
  settings.seed = spec.seed();
  fill_settings_lists(task, spec, settings);
  settings.policy =
      static_cast<search::PolicyKind>(std::max(0, search.policy() - spec::v1::POLICY_RANDOM));
  settings.islands = search.islands();
  settings.island_size = search.island_size();
  settings.migration_interval = search.migration_interval();
  settings.migration_fraction = search.migration_fraction();
  settings.reset_interval = search.reset_interval();
  settings.climb_from = search.climb_from();
  settings.selection =
      static_cast<search::Selection>(std::max(0, search.selection() - spec::v1::SELECTION_RANK));
  settings.learns_shares = search.learn_shares();
  settings.children = search.children();
  settings.generations = search.generations();
  if (search.tune_evaluations() != 0) settings.tune_evaluations = search.tune_evaluations();
  settings.exploitation = search.exploitation();
  settings.inspirations = search.inspirations();
  settings.failures = search.failures();
  settings.repeats = spec.evaluation().repeats();
  settings.races = spec.evaluation().race();
  settings.evaluation_seed = spec.evaluation().seed();
  settings.noise_repeats = spec.evaluation().noise_repeats();
  settings.final_repeats = spec.evaluation().final_repeats();
  settings.confirm_sigma = spec.evaluation().confirm_sigma();
  settings.evaluations_parallel = spec.evaluation().parallel();
  settings.proposals_parallel = spec.codegen().parallel();
  settings.variants_per_proposal = spec.codegen().variants();
  settings.budget = budget_of(spec.budget());
  if (settings.budget.tokens > 0) settings.tokens_reserved = tokens_of_proposal(seed, spec);
  if (settings.budget.cost_micro_usd > 0) {
    // The coordinator knows no prices: the client keeps within this share.
    settings.cost_reserved_micro_usd = std::max<std::int64_t>(
        1, std::llround(static_cast<double>(settings.budget.cost_micro_usd) * kReservedRatio /
                        std::max(1, settings.proposals_parallel)));
  }
  return settings;
}

}  // namespace

std::vector<SourceFile> seed_files(const spec::v1::TaskBundle& bundle) {
  std::vector<SourceFile> files;
  for (const auto& path : bundle.manifest().candidate().evolve()) {
    for (const auto& file : bundle.files()) {
      if (file.path() == "seed/" + path) files.push_back({.path = path, .sha256 = file.sha256()});
    }
  }
  return files;
}

void fill_defaults(const TaskManifest& task, const SeedFacts& seed, CampaignSpec& spec) {
  if (spec.seed() == 0) spec.set_seed(1);
  if (spec.priority() == 0) spec.set_priority(50);
  fill_search(task, seed, spec);
  auto* evaluation = spec.mutable_evaluation();
  if (evaluation->repeats() == 0) evaluation->set_repeats(1);
  if (!evaluation->has_seed()) evaluation->set_seed(1);
  if (!evaluation->has_reuse()) evaluation->set_reuse(true);
  if (evaluation->has_early_stop()) fill_early_stop(*evaluation->mutable_early_stop());
  if (evaluation->final_repeats() == 0) evaluation->set_final_repeats(3);
  if (!evaluation->has_confirm_sigma()) {
    evaluation->set_confirm_sigma(search::kConfirmSigmaDefault);
  }
  if (evaluation->parallel() == 0) evaluation->set_parallel(default_parallel(spec.budget()));
  auto* codegen = spec.mutable_codegen();
  if (codegen->output_tokens() == 0) codegen->set_output_tokens(4096);
  if (codegen->variants() == 0) codegen->set_variants(1);
  if (codegen->parallel() == 0) codegen->set_parallel(8);
  for (auto& model : *codegen->mutable_models()) {
    if (model.weight() == 0) model.set_weight(1);
  }
  // What the task fixes is part of the resolved spec, so that it can be read off in one place.
  auto& parameters = *spec.mutable_task()->mutable_parameters();
  for (const auto& [name, value] : task.parameters()) {
    if (!parameters.contains(name)) parameters[name] = value;
  }
  spec.mutable_task()->clear_source();
}

Problems check_spec(const TaskManifest& task, const SeedFacts& seed, const CampaignSpec& spec) {
  Check check;
  check_names(spec, check);
  check_parameters(task, spec, check);
  check_codegen(spec, check);
  check_prompts(spec, check);
  check_early_stop(task, spec, check);
  check_enumerators(spec, check);
  check_budget(spec, check);
  std::set<std::string> fields;
  for (const auto& problem : check.problems()) fields.insert(problem.field);
  for (const auto& problem : search::validate(settings_of(task, seed, spec))) {
    if (fields.insert("spec." + problem.field).second) {
      check.problems().push_back({"spec." + problem.field, problem.description});
    }
  }
  return check.problems();
}

CampaignDefinition make_definition(const TaskManifest& task, const SeedFacts& seed,
                                   const CampaignSpec& spec) {
  const auto time_or = [](const google::protobuf::Duration& time, milliseconds fallback) {
    const auto value = from_proto(time);
    return value.count() > 0 ? value : fallback;
  };
  CampaignDefinition definition;
  definition.name = spec.name();
  definition.spec = task::serialize(spec);
  definition.task_digest = spec.task().digest();
  definition.task_name = task.name();
  definition.priority = spec.priority();
  definition.settings = settings_of(task, seed, spec);
  definition.started = {seed.token_digest, seed.source_tokens};
  definition.seed_files = seed.files;
  definition.language = task.language();
  definition.parameters = {spec.task().parameters().begin(), spec.task().parameters().end()};
  definition.instructions = clean_text(spec.codegen().instructions(), kInstructionsBytesMax);
  for (const auto& prompt : spec.codegen().prompts()) {
    definition.prompts[word(operator_of(prompt.operator_()))] =
        clean_text(prompt.text(), kPromptBytesMax);
  }
  definition.output_tokens = spec.codegen().output_tokens();
  definition.reuses_results = spec.evaluation().reuse();
  if (spec.evaluation().has_early_stop()) {
    definition.early_stop = early_stop_of(spec.evaluation().early_stop());
  }
  definition.runtime = task.candidate().runtime() == spec::v1::RUNTIME_LIBTORCH ? "libtorch"
                       : task.candidate().runtime() == spec::v1::RUNTIME_CPP    ? "cpp"
                                                                                : "process";
  definition.sandbox_level = task.sandbox() == spec::v1::SANDBOX_LEVEL_UNSPECIFIED
                                 ? spec::v1::SANDBOX_LEVEL_STANDARD
                                 : task.sandbox();
  definition.gpus = task.limits().gpus();
  definition.attempt_budget_min = time_or(task.limits().compile_time(), kCompileTimeDefault) +
                                  time_or(task.limits().run_time(), kRunTimeDefault) +
                                  kAttemptSlack;
  return definition;
}

}  // namespace cambrian::coordinator::wire
