#include <CLI/CLI.hpp>
#include <array>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/campaign_file.hpp"
#include "cli/commands/campaign_follow.hpp"
#include "cli/commands/campaign_view.hpp"
#include "cli/commands/dev_report.hpp"
#include "cli/commands/event_stream.hpp"
#include "cli/commands/progress_line.hpp"
#include "cli/commands/variant_diff.hpp"
#include "cli/dev/environment.hpp"
#include "cli/output/diff.hpp"
#include "cli/output/document.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"
#include "common/config/nearest.hpp"

namespace cambrian::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using user::v1::Campaign;

struct DemoOptions {
  std::string task = "fashion-mnist";
  std::string tasks = "tasks";
  std::string directory;
  std::string policy = "islands";
  std::int64_t evaluations = 60;
  std::uint64_t seed = 1;
  int workers = 1;
  std::vector<std::string> parameters;
};

dev::EnvironmentOptions environment_of(const DemoOptions& options) {
  dev::EnvironmentOptions environment;
  environment.directory =
      options.directory.empty() ? demo_directory() : fs::path(options.directory);
  environment.workers = options.workers;
  return complete(environment);
}

std::string time_stamp() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &parts);
  return text.data();
}

/// The folder of the task, or which ones there are.
Result<fs::path> find_task(const DemoOptions& options) {
  const fs::path folder = fs::path(options.tasks) / options.task;
  std::error_code error;
  if (fs::exists(folder / "task.yaml", error)) return fs::canonical(folder, error);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(options.tasks, error)) {
    if (fs::exists(entry.path() / "task.yaml", error)) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::ranges::sort(names);
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  const auto nearest = nearest_name(options.task, names);
  return fail(Errc::not_found,
              "no task \"" + options.task + "\" in " + options.tasks +
                  (nearest ? ", did you mean \"" + *nearest + "\"?" : "; known: " + known));
}

/// The campaign as a file that the user can read, change and submit again.
Result<fs::path> write_campaign(const DemoOptions& options, const fs::path& task,
                                const fs::path& directory) {
  const std::string name = "demo-" + options.task.substr(0, 40) + "-" + time_stamp();
  fs::path path = directory / "campaigns" / (name + ".yaml");
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream output(path);
  output << "api_version: cambrian/v1\n"
         << "kind: Campaign\n"
         << "name: " << name << "\n"
         << "seed: " << options.seed << "\n"
         << "task:\n  source: " << Json(task.string()).dump() << "\n";
  if (!options.parameters.empty()) output << "  parameters:\n";
  for (const std::string& parameter : options.parameters) {
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    output << "    " << parameter.substr(0, equals) << ": "
           << parameter.substr(std::min(equals + 1, parameter.size())) << "\n";
  }
  output << "search:\n  policy: " << options.policy << "\n"
         << "budget:\n  evaluations: " << options.evaluations << "\n";
  // A few of many: how much a score varies, so that a gain can be told from luck.
  constexpr int kEvaluationsForNoise = 20;
  if (options.evaluations >= kEvaluationsForNoise) output << "evaluation:\n  noise_repeats: 3\n";
  output.close();
  if (!output) return fail(Errc::unavailable, "cannot write " + path.string());
  return path;
}

const user::v1::Estimate* find_estimate(
    const google::protobuf::Map<std::string, user::v1::Estimate>& estimates,
    const std::string& metric) {
  const auto found = estimates.find(metric);
  return found == estimates.end() ? nullptr : &found->second;
}

void add_estimate(Json& json, const std::string& name, const user::v1::Estimate* estimate) {
  json[name] = estimate == nullptr ? Json() : Json(estimate->mean());
  const auto half = estimate == nullptr ? std::nullopt : half_interval(*estimate);
  json[name + "_interval"] = half ? Json(*half) : Json();
}

/// Seed or best: means over the repeats, with half of the 95 % interval.
Json score_json(const Campaign& campaign, const user::v1::FinalScore& score) {
  Json json{{"variant", score.variant()}};
  add_estimate(json, "score", find_estimate(score.validation(), campaign.objective_metric()));
  add_estimate(json, "test", find_estimate(score.sealed(), campaign.objective_metric()));
  Json metrics = Json::object();
  for (const auto& [name, value] : std::map(score.validation().begin(), score.validation().end())) {
    metrics[name] = value.mean();
  }
  json["metrics"] = metrics;
  return json;
}

/// What `--json` prints, and nothing else.
Json result_json(const Campaign& campaign, double wall_seconds) {
  const auto& used = campaign.consumption();
  return {{"task", campaign.task_name()},
          {"campaign", campaign.name()},
          {"state", state_name(campaign.state())},
          {"objective", campaign.objective_metric()},
          {"is_maximized", campaign.is_maximized()},
          {"evaluations", used.evaluations()},
          {"evaluations_failed", used.evaluations_failed()},
          {"duplicates", used.duplicates()},
          {"proposals", used.proposals()},
          {"proposals_failed", used.proposals_failed()},
          {"tokens", used.tokens()},
          {"wall_seconds", wall_seconds},
          {"noise_deviation",
           campaign.has_noise_deviation() ? Json(campaign.noise_deviation()) : Json()},
          {"seed", score_json(campaign, campaign.final_seed())},
          {"best", score_json(campaign, campaign.final_best())}};
}

void show_diff(Session& session, const std::string& title, const Result<std::string>& diff) {
  session.print("\n" + styled(title, "1", session.terminal().out.has_color) + "\n");
  if (!diff) {
    session.note(diff.error().message);
    return;
  }
  session.print(session.terminal().out.has_color ? colored_diff(printable_lines(*diff)) : *diff);
}

/// Commands find the usual folder by themselves.
std::string how_to_reach(const Session& session, const dev::EnvironmentOptions& environment) {
  return environment.directory == demo_directory()
             ? ""
             : ", with export CAMBRIAN_ENDPOINT=" + session.options().endpoint;
}

void show_result(Session& session, const Campaign& campaign, double wall_seconds,
                 const dev::EnvironmentOptions& environment) {
  const auto& used = campaign.consumption();
  session.print(
      "\n" + campaign.name() + ": " + std::to_string(used.evaluations()) + " evaluations (" +
      std::to_string(used.evaluations_failed()) + " failed) in " +
      format_duration(std::chrono::milliseconds(static_cast<std::int64_t>(wall_seconds * 1000))) +
      "\n\n" + final_table(campaign));
  const std::int64_t best = campaign.final_best().variant();
  const std::string number = std::to_string(best);
  const auto variant = get_variant_parent(session, campaign.name(), best);
  if (variant && *variant > 0) {
    show_diff(session, "What changed in variant " + number + " against its parent",
              diff_variants(session, campaign.name(), *variant, best));
  }
  const bool is_child_of_seed = variant && *variant == 0;
  show_diff(session,
            "What changed in variant " + number + " against " +
                (is_child_of_seed ? "its parent, the seed" : "the seed"),
            diff_variants(session, campaign.name(), 0, best));
  const std::string program = program_call();
  session.note("\nlook further" + how_to_reach(session, environment) + ":\n  " + program +
               " variant list " + campaign.name() + " --best\n  " + program + " variant lineage " +
               campaign.name() + " best\n  " + program + " variant source " + campaign.name() +
               " best\n  " + program + " campaign export " + campaign.name() +
               " --to results\nstop everything:\n  " + program + " dev down --directory " +
               environment.directory.string());
}

/// From a running environment to an ended campaign.
Result<Campaign> run_campaign(Session& session, CampaignFile& file, const InterruptScope& interrupt,
                              const Session& caller) {
  CAMBRIAN_TRY(const Campaign created, submit(session, file, make_request_id()));
  caller.note("campaign " + created.name() + "; from a second terminal: " + program_call() +
              " --endpoint " + session.options().endpoint + " campaign watch " + created.name());
  ProgressLine progress(caller);
  return wait_for_campaign(session, created.name(), interrupt.token(), {},
                           [&](const Campaign& campaign) {
                             progress.show(campaign);
                             return has_ended(campaign.state());
                           });
}

int run_demo(Session& caller, const DemoOptions& options) {
  const auto task = find_task(options);
  if (!task) return caller.fail(task.error());
  const dev::EnvironmentOptions environment = environment_of(options);
  const auto up = dev::up(environment, reporter(caller));
  if (!up) return caller.fail(ExitCode::failure, up.error().message);
  const Status reached = wait_for_agents(caller, up->state, environment);
  if (!reached) return caller.fail(ExitCode::failure, reached.error().message);
  const auto path = write_campaign(options, *task, environment.directory);
  if (!path) return caller.fail(path.error());
  auto file = read_campaign_file(*path);
  if (!file) return caller.fail(file.error());
  if (!file->is_ok()) return report_problems(caller, *file);
  GlobalOptions global = caller.options();
  global.endpoint = up->state.endpoint;
  Session session(global, caller.terminal());
  const InterruptScope interrupt;
  const auto begin = std::chrono::steady_clock::now();
  const auto campaign = run_campaign(session, *file, interrupt, caller);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!file->is_ok()) return report_problems(caller, *file);
  if (interrupt.is_interrupted()) {
    caller.note("the campaign goes on; stop everything with: " + program_call() +
                " dev down --directory " + environment.directory.string());
    return to_int(ExitCode::interrupted);
  }
  if (!campaign) return session.fail(campaign.error());
  const bool has_result = campaign->has_final_best();
  if (caller.is_document()) {
    caller.print_object(result_json(*campaign, seconds));
  } else if (caller.format() == Format::name) {
    caller.print(campaign->name() + "\n");
  } else if (has_result) {
    show_result(session, *campaign, seconds, environment);
  }
  if (has_result) return to_int(ExitCode::ok);
  return caller.fail(ExitCode::failure,
                     "the campaign ended without a winner: " + state_name(campaign->state()) +
                         ", " + failure_reason(session, *campaign),
                     "see the logs in " + dev::make_layout(environment.directory).logs().string());
}

}  // namespace

void add_demo_command(Cli& cli) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* command = cli.add(&cli.app, "demo", "improve an example task on this machine",
                              "cambrian demo --task online-bin-packing --evaluations 40");
  command->add_option("--task", options->task, "name of the task")->capture_default_str();
  command->add_option("--tasks", options->tasks, "folder with the tasks")->capture_default_str();
  command->add_option("--evaluations", options->evaluations, "evaluations to make")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "seed of the search")->capture_default_str();
  command->add_option("--workers", options->workers, "worker processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--policy", options->policy, "how parents are chosen")
      ->check(CLI::IsMember({"random", "sequential", "hill_climb", "islands", "pareto", "clade"}))
      ->capture_default_str();
  command->add_option("--set", options->parameters, "NAME=NUMBER: a parameter; repeatable");
  command->add_option("--directory", options->directory, "folder of the environment")
      ->default_str(demo_directory().string());
  cli.on(command, [options](Session& session) { return run_demo(session, *options); });
}

}  // namespace cambrian::cli
