#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/event_stream.hpp"
#include "cli/comparison/report.hpp"
#include "coordinator/journal/replay.hpp"

namespace cambrian::cli {
namespace {

namespace fs = std::filesystem;

using user::v1::Campaign;
using user::v1::CampaignService;

struct Options {
  std::vector<std::string> arms;
  std::string file;
  std::string svg_folder;
  CompareOptions compare;
};

/// `label=campaign,campaign`; the campaigns' names only.
struct NamedArm {
  std::string label;
  std::vector<std::string> campaigns;
};

Result<NamedArm> parse_arm(const std::string& word) {
  // The last one: a label may hold one, a name of a campaign may not.
  const auto equals = word.rfind('=');
  NamedArm arm{word.substr(0, equals), {}};
  if (equals != std::string::npos) {
    std::istringstream names(word.substr(equals + 1));
    for (std::string name; std::getline(names, name, ',');) arm.campaigns.push_back(name);
  }
  if (arm.label.empty() || arm.campaigns.empty()) {
    return fail(Errc::invalid_argument, "not an arm: " + word);
  }
  return arm;
}

/// The best score after each evaluation: the search is repeated from the log, as events of the best
/// come behind several results at once.
Result<std::vector<double>> read_curve(Session& session, const std::string& name) {
  coordinator::journal::Replay replay;
  Status taken;
  std::vector<double> curve;
  CAMBRIAN_TRY_STATUS(read_history(session, name, [&](const user::v1::Event& event) {
    if (taken) taken = replay.take(event.sequence(), event.type(), event.json());
    const auto evaluations = static_cast<std::size_t>(replay.evaluations());
    // While the seed is evaluated there is no score: those places take the first one.
    if (replay.best_score() && evaluations > curve.size()) {
      curve.resize(evaluations, *replay.best_score());
    }
  }));
  CAMBRIAN_TRY_STATUS(std::move(taken));
  if (curve.empty()) return fail(Errc::invalid_argument, "nothing is evaluated yet: " + name);
  if (replay.difference()) {
    return fail(Errc::invalid_argument,
                "the log does not repeat itself: cambrian campaign replay " + name);
  }
  return curve;
}

/// All campaigns of a comparison search the same problem.
Status check_same(const Campaign& first, const Campaign& other) {
  const auto& a = first.spec().task();
  const auto& b = other.spec().task();
  const std::map<std::string, double> parameters(a.parameters().begin(), a.parameters().end());
  if (a.digest() == b.digest() && first.objective_metric() == other.objective_metric() &&
      parameters == std::map<std::string, double>(b.parameters().begin(), b.parameters().end())) {
    return {};
  }
  return fail(Errc::invalid_argument,
              "the campaigns search different tasks, or with other "
              "parameters: " +
                  first.name() + ", " + other.name());
}

Result<Run> read_run(Session& session, const Campaign& campaign) {
  Run run;
  run.name = campaign.name();
  run.seed = campaign.spec().seed();
  CAMBRIAN_TRY(run.curve, read_curve(session, campaign.name()));
  // The seed itself may be the winner: then only that was evaluated anew.
  const auto& finals = campaign.has_final_best() ? campaign.final_best() : campaign.final_seed();
  const auto sealed = finals.sealed().find(campaign.objective_metric());
  if (sealed != finals.sealed().end()) run.sealed = sealed->second.mean();
  return run;
}

Result<Arms> read_campaigns(Session& session, const std::vector<std::string>& words) {
  Arms arms;
  std::optional<Campaign> first;
  for (const std::string& word : words) {
    CAMBRIAN_TRY(const NamedArm named, parse_arm(word));
    Arm arm{named.label, {}};
    for (const std::string& name : named.campaigns) {
      user::v1::GetCampaignRequest request;
      request.set_name(name);
      CAMBRIAN_TRY(const auto response, session.call(&CampaignService::Stub::GetCampaign, request));
      const Campaign& campaign = response.campaign();
      if (!first) first = campaign;
      CAMBRIAN_TRY_STATUS(check_same(*first, campaign));
      if (!campaign.has_end_time()) session.note("campaign " + name + " has not ended");
      CAMBRIAN_TRY(Run run, read_run(session, campaign));
      arm.runs.push_back(std::move(run));
    }
    arms.arms.push_back(std::move(arm));
  }
  if (first) {
    arms.task = first->task_name();
    arms.metric = first->objective_metric();
    arms.is_maximized = first->is_maximized();
  }
  return arms;
}

Result<Arms> read_file(const std::string& path) {
  std::ifstream input(path, std::ios::binary);
  std::stringstream text;
  text << input.rdbuf();
  if (!input) return fail(Errc::not_found, "cannot read " + path);
  return read_arms(text.str());
}

Status write_plot(const fs::path& path, const std::string& svg) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream output(path, std::ios::binary | std::ios::trunc);
  output << svg;
  output.close();
  if (output) return {};
  return fail(Errc::internal, "cannot write " + path.string() + ": " + std::strerror(errno));
}

int show(Session& session, const Options& options, const Arms& arms) {
  const auto comparison = compare(arms, options.compare);
  if (!comparison) return session.fail(comparison.error());
  if (!options.svg_folder.empty()) {
    const fs::path folder = options.svg_folder;
    Status written = write_plot(folder / "curves.svg", curves_svg(arms, *comparison));
    if (written) written = write_plot(folder / "finals.svg", finals_svg(arms, *comparison));
    if (!written) return session.fail(written.error());
    session.note("wrote " + (folder / "curves.svg").string() + " and finals.svg");
  }
  if (session.is_for_people()) {
    session.print(comparison_text(arms, *comparison, session.terminal().out.has_color));
  } else if (session.is_document()) {
    session.print_object(comparison_json(arms, *comparison, options.compare));
  }
  return to_int(ExitCode::ok);
}

int run_compare(Session& session, const Options& options) {
  if (options.arms.empty() == options.file.empty()) {
    return session.fail(ExitCode::usage, "name arms, or a file with --file, not both",
                        "cambrian compare random=one,two islands=three,four");
  }
  const auto arms =
      options.file.empty() ? read_campaigns(session, options.arms) : read_file(options.file);
  if (!arms) return session.fail(arms.error());
  return show(session, options, *arms);
}

}  // namespace

void add_compare_command(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* command = cli.add(&cli.app, "compare", "searches against each other, with statistics",
                              "cambrian compare random=r1,r2,r3 islands=i1,i2,i3 --svg plots");
  command->add_option("ARM", options->arms, "label=campaign,campaign,...: one arm and its runs");
  command->add_option("--file", options->file, "JSON of an earlier comparison instead");
  command->add_option("--target", options->compare.target, "score that counts as a success");
  command->add_option("--svg", options->svg_folder, "folder for curves.svg and finals.svg");
  command->add_option("--significance", options->compare.significance, "p below this is shown")
      ->check(CLI::Range(0.0001, 0.5))
      ->capture_default_str();
  cli.on(command, [options](Session& session) { return run_compare(session, *options); });
}

}  // namespace cambrian::cli
