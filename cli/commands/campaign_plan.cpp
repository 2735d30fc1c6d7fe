#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.hpp"
#include "cli/commands/campaign_file.hpp"
#include "cli/commands/campaign_list.hpp"
#include "cli/output/plan.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"

namespace cambrian::cli {
namespace {

using Json = nlohmann::ordered_json;

/// How many of the newest campaigns are looked at.
constexpr int kCampaignsMax = 1000;

struct PlanOptions {
  std::string path;
  std::string name;
};

/// In the words of a person: seconds as a duration, money with its sign.
std::string use_text(const PlannedUse& use, double value) {
  if (use.name.ends_with("_time")) {
    return format_duration(std::chrono::milliseconds(std::llround(value * 1000)));
  }
  if (use.name == "cost_usd") return format_cost(std::llround(value * 1e6));
  return format_count(std::llround(value));
}

std::string plan_text(const Session& session, const Plan& plan) {
  Table table({{.title = "BUDGET"},
               {.title = "EACH", .is_right = true},
               {.title = "ALL", .is_right = true},
               {.title = "LIMIT", .is_right = true},
               {.title = ""}});
  for (const auto& use : plan.uses) {
    if (use.each <= 0 && use.limit <= 0) continue;
    table.add({use.name, use.name == "evaluations" ? "" : use_text(use, use.each),
               use.all ? use_text(use, *use.all) : "-",
               use.limit > 0 ? use_text(use, use.limit) : "-",
               plan.end == use.name ? "ends it" : ""});
  }
  return table.render(session.table_style());
}

/// What to keep in mind; empty: nothing.
std::string doubt_text(const Plan& plan) {
  std::string text;
  if (!plan.is_same_task) text += "; the task has changed since";
  if (!plan.has_same_parameters) text += "; it had other parameters of the task";
  if (!plan.has_same_models) text += "; it had other models: tokens and cost may differ";
  if (!plan.end) text += "; of the budgets that are set, that campaign used none";
  return text;
}

Json document_of(const Plan& plan) {
  Json uses = Json::array();
  for (const auto& use : plan.uses) {
    uses.push_back({{"budget", use.name},
                    {"each", use.each},
                    {"all", use.all ? Json(*use.all) : Json()},
                    {"limit", use.limit > 0 ? Json(use.limit) : Json()}});
  }
  return {{"based_on", plan.based_on},
          {"is_same_task", plan.is_same_task},
          {"has_same_parameters", plan.has_same_parameters},
          {"has_same_models", plan.has_same_models},
          {"ended_by", plan.end ? Json(*plan.end) : Json()},
          {"uses", std::move(uses)}};
}

int run_plan(Session& session, const PlanOptions& options) {
  auto file = read_campaign_file(options.path, options.name);
  if (!file) return session.fail(file.error());
  if (!file->is_ok()) return report_problems(session, *file);
  const auto spec = validate_on_server(session, *file);
  if (!file->is_ok()) return report_problems(session, *file);
  if (!spec) return session.fail(spec.error());
  const auto campaigns = list_campaigns(session, kCampaignsMax);
  if (!campaigns) return session.fail(campaigns.error());
  const std::string task_name = file->task ? file->task->bundle.manifest().name() : "";
  const auto* like = find_like(*spec, task_name, *campaigns);
  if (like == nullptr) {
    return session.fail(ExitCode::not_found,
                        "no campaign over this task has run here: nothing to estimate from",
                        "submit a small one first: the same file under another --name with "
                        "budget.evaluations: 10");
  }
  const Plan plan = make_plan(*spec, *like);
  if (!session.is_for_people()) {
    session.print_object(document_of(plan));
    return to_int(ExitCode::ok);
  }
  session.print(plan_text(session, plan));
  session.note("as " + plan.based_on + " used it in " +
               std::to_string(like->consumption().evaluations()) +
               " evaluations; final evaluations come on top" + doubt_text(plan));
  return to_int(ExitCode::ok);
}

}  // namespace

void add_campaign_plan_command(Cli& cli, CLI::App* campaign) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* command =
      cli.add(campaign, "plan", "what a campaign is going to use, from what one like it has used",
              "cambrian campaign plan campaign.yaml");
  command->add_option("FILE", options->path, "campaign file, YAML or JSON")->required();
  command->add_option("--name", options->name, "name instead of the one in the file");
  cli.on(command, [options](Session& session) { return run_plan(session, *options); });
}

}  // namespace cambrian::cli
