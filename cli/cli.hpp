#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/session.hpp"

namespace cambrian::cli {

/// What a command does when its line was parsed; the result is the exit code.
using Action = std::function<int(Session&)>;

/// The tree of commands.
struct Cli {
  CLI::App app{"Evolutionary search over the source code of models", "cambrian"};
  GlobalOptions options;
  Action action;

  /// Adds a command below `parent` with an example for its help.
  CLI::App* add(CLI::App* parent, const std::string& name, const std::string& description,
                const std::string& example = "");
  /// What happens when `command` is chosen.
  void on(CLI::App* command, Action chosen) {
    command->callback([this, chosen = std::move(chosen)] { action = chosen; });
  }
};

/// The command of that name below `app`; null where there is none.
CLI::App* find_command(CLI::App* app, const std::string& name);

/// Builds the whole tree. Throws nothing.
void add_global_options(Cli& cli);
void add_campaign_commands(Cli& cli);
void add_campaign_follow_commands(Cli& cli, CLI::App* campaign);
void add_campaign_clone_command(Cli& cli, CLI::App* campaign);
void add_campaign_import_command(Cli& cli, CLI::App* campaign);
void add_campaign_plan_command(Cli& cli, CLI::App* campaign);
void add_campaign_replay_command(Cli& cli, CLI::App* campaign);
void add_compare_command(Cli& cli);
void add_variant_commands(Cli& cli);
void add_task_commands(Cli& cli);
void add_worker_commands(Cli& cli);
void add_dev_commands(Cli& cli);
void add_demo_command(Cli& cli);
void add_doctor_command(Cli& cli);
void add_config_commands(Cli& cli);
void add_admin_commands(Cli& cli);
void add_admin_certs_command(Cli& cli, CLI::App* admin);
void add_help_commands(Cli& cli);
void add_completion_commands(Cli& cli);
void build(Cli& cli);

/// Parses a command line. An exit code where that was all there is to do: help, version, or a
/// mistake, which is explained on stderr with the nearest command or option.
std::optional<int> parse(Cli& cli, const std::vector<std::string>& arguments);

}  // namespace cambrian::cli
