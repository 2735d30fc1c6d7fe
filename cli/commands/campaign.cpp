#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cambrian/user/v1/campaign_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/campaign_export.hpp"
#include "cli/commands/campaign_file.hpp"
#include "cli/commands/campaign_list.hpp"
#include "cli/commands/campaign_view.hpp"
#include "cli/output/document.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"

namespace cambrian::cli {
namespace {

using user::v1::CampaignService;

struct FileOptions {
  std::string path;
  std::string name;
  std::string request_id;
  bool with_server = false;
};

struct NameOptions {
  std::string name;
  bool is_confirmed = false;
  bool only_spec = false;
  std::string folder;
};

struct ListOptions {
  int limit = 100;
};

int run_list(Session& session, const ListOptions& options) {
  const auto response = list_campaigns(session, options.limit);
  if (!response) return session.fail(response.error());
  if (session.format() == Format::name) {
    for (const auto& one : response->campaigns()) session.print(one.name() + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(*response);
  } else if (response->campaigns().empty()) {
    session.note("no campaigns; submit one with: " + program_call() + " campaign submit FILE");
  } else {
    session.print(campaign_table(*response, session));
  }
  return to_int(ExitCode::ok);
}

void show(Session& session, const user::v1::Campaign& campaign) {
  if (session.format() == Format::name) {
    session.print(campaign.name() + "\n");
  } else if (session.is_for_people()) {
    session.print(campaign_details(campaign));
  } else {
    session.print_document(campaign);
  }
}

int run_get(Session& session, const NameOptions& options) {
  user::v1::GetCampaignRequest request;
  request.set_name(options.name);
  const auto response = session.call(&CampaignService::Stub::GetCampaign, request);
  if (!response)
    return session.fail(response.error(), "list them with: " + program_call() + " campaign list");
  if (options.only_spec) {
    session.print(session.format() == Format::json ? to_json(response->campaign().spec())
                                                   : to_yaml(response->campaign().spec(), false));
  } else {
    show(session, response->campaign());
  }
  return to_int(ExitCode::ok);
}

int run_validate(Session& session, const FileOptions& options) {
  auto file = read_campaign_file(options.path, options.name);
  if (!file) return session.fail(file.error());
  if (!file->is_ok()) return report_problems(session, *file);
  spec::v1::CampaignSpec spec = file->spec;
  if (options.with_server) {
    const auto resolved = validate_on_server(session, *file);
    if (!file->is_ok()) return report_problems(session, *file);
    if (!resolved) return session.fail(resolved.error());
    spec = *resolved;
  }
  if (session.is_for_people()) {
    session.note(options.path + " is good" +
                 (options.with_server ? "" : "; the server's rules are checked with --server"));
  } else if (session.format() == Format::name) {
    session.print(spec.name() + "\n");
  } else {
    session.print_document(spec);
  }
  return to_int(ExitCode::ok);
}

/// The answer to a repeated request is the campaign of the first one.
bool is_older_than(const user::v1::Campaign& campaign, std::chrono::system_clock::time_point time) {
  constexpr std::chrono::seconds kClockDifference{2};
  const auto created = std::chrono::seconds(campaign.create_time().seconds());
  return std::chrono::system_clock::time_point(created) + kClockDifference < time;
}

int run_submit(Session& session, const FileOptions& options) {
  const auto begin = std::chrono::system_clock::now();
  auto file = read_campaign_file(options.path, options.name);
  if (!file) return session.fail(file.error());
  if (!file->is_ok()) return report_problems(session, *file);
  // The same file with the same name is the same request: repeating a lost one is safe.
  const std::string id =
      options.request_id.empty() ? default_request_id(file->spec) : options.request_id;
  const auto campaign = submit(session, *file, id);
  if (!file->is_ok()) return report_problems(session, *file);
  if (!campaign) {
    const bool is_taken = campaign.error().code == Errc::already_exists;
    return session.fail(campaign.error(), is_taken ? "choose another name with --name NAME" : "");
  }
  if (!session.is_for_people()) {
    show(session, *campaign);
    return to_int(ExitCode::ok);
  }
  session.print(is_older_than(*campaign, begin)
                    ? "campaign " + campaign->name() +
                          " was submitted before: " + state_name(campaign->state()) + "\n"
                    : "submitted campaign " + campaign->name() + "\n");
  session.note("follow it:  " + program_call() + " campaign watch " + campaign->name() +
               "\nresults:    " + program_call() + " variant list " + campaign->name() + " --best");
  return to_int(ExitCode::ok);
}

/// Pause, resume and stop differ in their names only.
template <class Request, class Response>
int run_change(Session& session, const NameOptions& options,
               grpc::Status (CampaignService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
               const std::string& next) {
  Request request;
  request.set_name(options.name);
  request.set_request_id(make_request_id());
  const auto response = session.call(method, request);
  if (!response) {
    const bool is_unknown = response.error().code == Errc::not_found;
    return session.fail(response.error(),
                        is_unknown ? "list them with: " + program_call() + " campaign list" : "");
  }
  if (!session.is_for_people()) {
    show(session, response->campaign());
    return to_int(ExitCode::ok);
  }
  session.print("campaign " + options.name + " is " + state_name(response->campaign().state()) +
                "\n");
  session.note(next + options.name);
  return to_int(ExitCode::ok);
}

struct HintOptions {
  std::string name;
  std::string text;
  bool is_taken_back = false;
};

int run_hint(Session& session, const HintOptions& options) {
  if (options.text.empty() != options.is_taken_back) {
    return session.fail(ExitCode::usage, "give a hint, or --clear to take the last one back");
  }
  user::v1::HintCampaignRequest request;
  request.set_name(options.name);
  request.set_hint(options.text);
  request.set_request_id(make_request_id());
  const auto response = session.call(&CampaignService::Stub::HintCampaign, request);
  if (!response) return session.fail(response.error());
  if (!session.is_for_people()) {
    show(session, response->campaign());
    return to_int(ExitCode::ok);
  }
  session.print(options.is_taken_back
                    ? "campaign " + options.name + " has no hint any more\n"
                    : "proposals of campaign " + options.name + " have the hint from now on\n");
  return to_int(ExitCode::ok);
}

/// On a terminal a question; without one the flag is needed: nothing is deleted by a slip.
bool is_confirmed(Session& session, const NameOptions& options) {
  if (options.is_confirmed) return true;
  if (!session.terminal().err.is_terminal) return false;
  std::cerr << "Delete campaign " << options.name << " with all its variants? Type its name: ";
  std::string answer;
  return std::getline(std::cin, answer) && answer == options.name;
}

int run_delete(Session& session, const NameOptions& options) {
  if (!is_confirmed(session, options)) {
    return session.fail(ExitCode::usage, "not deleted: " + options.name,
                        "type its name when asked, or give --yes");
  }
  user::v1::DeleteCampaignRequest request;
  request.set_name(options.name);
  request.set_request_id(make_request_id());
  const auto response = session.call(&CampaignService::Stub::DeleteCampaign, request);
  if (!response) {
    const bool runs = response.error().code == Errc::conflict;
    return session.fail(
        response.error(),
        runs ? "end it first: " + program_call() + " campaign stop " + options.name : "");
  }
  session.note("deleted campaign " + options.name);
  if (session.is_document()) {
    session.print_object({{"campaign", options.name}, {"is_deleted", true}});
  }
  return to_int(ExitCode::ok);
}

int run_export(Session& session, const NameOptions& options) {
  const std::string folder = options.folder.empty() ? options.name : options.folder;
  const auto count = export_campaign(session, options.name, folder);
  if (!count) return session.fail(count.error());
  session.note("wrote " + std::to_string(*count) + " variants to " + folder);
  if (session.is_document()) {
    session.print_object({{"campaign", options.name}, {"folder", folder}, {"variants", *count}});
  }
  return to_int(ExitCode::ok);
}

void add_file_command(Cli& cli, CLI::App* parent, bool is_submit) {
  auto options = std::make_shared<FileOptions>();
  CLI::App* command =
      is_submit
          ? cli.add(parent, "submit", "upload the task and start the campaign",
                    "cambrian campaign submit campaign.yaml")
          : cli.add(parent, "validate", "check a campaign file and its task, without a server",
                    "cambrian campaign validate campaign.yaml");
  command->add_option("FILE", options->path, "campaign file, YAML or JSON")->required();
  command->add_option("--name", options->name, "name instead of the one in the file");
  if (is_submit) {
    command->add_option("--request-id", options->request_id,
                        "makes the request repeatable; default: from the content of the file");
  } else {
    command->add_flag("--server", options->with_server, "ask the server too");
  }
  cli.on(command, [options, is_submit](Session& session) {
    return is_submit ? run_submit(session, *options) : run_validate(session, *options);
  });
}

using NameAction = std::function<int(Session&, const NameOptions&)>;

/// A command whose argument is the name of a campaign.
std::pair<CLI::App*, std::shared_ptr<NameOptions>> add_name_command(Cli& cli, CLI::App* parent,
                                                                    const std::string& name,
                                                                    const std::string& description,
                                                                    NameAction action) {
  auto options = std::make_shared<NameOptions>();
  CLI::App* command = cli.add(parent, name, description, "cambrian campaign " + name + " NAME");
  command->add_option("CAMPAIGN", options->name, "name of the campaign")->required();
  cli.on(command, [options, action = std::move(action)](Session& session) {
    return action(session, *options);
  });
  return {command, options};
}

void add_change_commands(Cli& cli, CLI::App* parent) {
  using Stub = CampaignService::Stub;
  add_name_command(cli, parent, "pause", "hand out no new work",
                   [](Session& session, const NameOptions& options) {
                     return run_change(session, options, &Stub::PauseCampaign,
                                       "go on with: " + program_call() + " campaign resume ");
                   });
  add_name_command(cli, parent, "resume", "go on after a pause",
                   [](Session& session, const NameOptions& options) {
                     return run_change(session, options, &Stub::ResumeCampaign,
                                       "follow it: " + program_call() + " campaign watch ");
                   });
  add_name_command(cli, parent, "stop", "finish what runs and end",
                   [](Session& session, const NameOptions& options) {
                     return run_change(session, options, &Stub::StopCampaign,
                                       "wait for the end: " + program_call() + " campaign wait ");
                   });
  auto hint_options = std::make_shared<HintOptions>();
  CLI::App* hint = cli.add(parent, "hint", "tell the model something, from now on",
                           "cambrian campaign hint NAME \"try fewer parameters\"");
  hint->add_option("CAMPAIGN", hint_options->name, "name of the campaign")->required();
  hint->add_option("TEXT", hint_options->text,
                   "what every prompt has behind the instructions, instead of the last hint");
  hint->add_flag("--clear", hint_options->is_taken_back, "take the last hint back");
  cli.on(hint, [hint_options](Session& session) { return run_hint(session, *hint_options); });
  const auto [remove, options] =
      add_name_command(cli, parent, "delete", "remove an ended campaign", run_delete);
  remove->add_flag("--yes", options->is_confirmed, "do not ask");
}

}  // namespace

void add_campaign_commands(Cli& cli) {
  CLI::App* parent = cli.add(&cli.app, "campaign", "searches over a task");
  parent->require_subcommand(1);
  add_file_command(cli, parent, false);
  add_file_command(cli, parent, true);
  auto list_options = std::make_shared<ListOptions>();
  CLI::App* list = cli.add(parent, "list", "campaigns, newest first", "cambrian campaign list");
  list->add_option("--limit", list_options->limit, "campaigns at most")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  cli.on(list, [list_options](Session& session) { return run_list(session, *list_options); });
  const auto [get, get_options] = add_name_command(cli, parent, "get", "one campaign", run_get);
  get->add_flag("--spec", get_options->only_spec, "only what was submitted, as YAML");
  add_campaign_follow_commands(cli, parent);
  add_change_commands(cli, parent);
  const auto [out, out_options] = add_name_command(
      cli, parent, "export", "write sources, metrics and events to a folder", run_export);
  out->add_option("--to", out_options->folder, "folder; default: the name of the campaign");
  add_campaign_import_command(cli, parent);
  add_campaign_clone_command(cli, parent);
  add_campaign_plan_command(cli, parent);
  add_campaign_replay_command(cli, parent);
}

}  // namespace cambrian::cli
