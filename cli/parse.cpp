#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "cli/cli.hpp"
#include "cli/output/terminal.hpp"
#include "common/config/nearest.hpp"

namespace cambrian::cli {
namespace {

std::vector<CLI::App*> visible_subcommands(CLI::App* app) {
  std::vector<CLI::App*> commands = app->get_subcommands([](CLI::App*) { return true; });
  std::erase_if(commands, [](CLI::App* command) { return command->get_group().empty(); });
  return commands;
}

std::string full_name(const CLI::App* app) {
  std::string name = app->get_name();
  for (const CLI::App* parent = app->get_parent(); parent != nullptr;
       parent = parent->get_parent()) {
    name.insert(0, parent->get_name() + " ");
  }
  return name;
}

/// An option by the word on the command line, here or in a command above.
CLI::Option* find_option(CLI::App* app, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  for (; app != nullptr; app = app->get_parent()) {
    if (CLI::Option* option = app->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

bool takes_next_word(CLI::App* app, const std::string& word) {
  const CLI::Option* option = find_option(app, word);
  return option != nullptr && option->get_items_expected_max() > 0 &&
         word.find('=') == std::string::npos;
}

/// What is wrong with the commands on a line, before CLI11 sees it: its own message for a misspelt
/// command is "A subcommand is required".
struct Mistake {
  std::string message;
  std::string fix;
};

std::string names_of(CLI::App* app) {
  std::string names;
  for (const CLI::App* command : visible_subcommands(app)) {
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return names;
}

std::optional<Mistake> find_mistake(CLI::App* app, const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "-h" || word == "--help") return std::nullopt;
    if (word.starts_with('-')) {
      if (takes_next_word(app, word)) ++i;
      continue;
    }
    const auto all = app->get_subcommands([](CLI::App*) { return true; });
    if (all.empty() || app->get_require_subcommand_min() == 0) return std::nullopt;
    if (CLI::App* next = find_command(app, word)) {
      app = next;
      continue;
    }
    std::vector<std::string> names;
    for (const CLI::App* command : visible_subcommands(app)) names.push_back(command->get_name());
    const auto nearest = nearest_name(word, names);
    return Mistake{
        "unknown command \"" + word + "\" of " + full_name(app),
        nearest ? "did you mean: " + full_name(app) + " " + *nearest : "one of " + names_of(app)};
  }
  if (app->get_require_subcommand_min() == 0) return std::nullopt;
  return Mistake{full_name(app) + " needs a command", "one of " + names_of(app)};
}

CLI::App* chosen_command(CLI::App* app) {
  for (auto parsed = app->get_subcommands(); !parsed.empty(); parsed = app->get_subcommands()) {
    app = parsed.front();
  }
  return app;
}

Mistake explain(CLI::App* command, const CLI::ParseError& error) {
  Mistake mistake{error.what(), "see: " + full_name(command) + " --help"};
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr) return mistake;
  CLI::App* root = command;
  while (root->get_parent() != nullptr) root = root->get_parent();
  for (const std::string& word : root->remaining(true)) {
    if (!word.starts_with('-')) {
      return {"unexpected argument \"" + word + "\" for " + full_name(command), mistake.fix};
    }
    std::vector<std::string> names;
    for (CLI::App* app = command; app != nullptr; app = app->get_parent()) {
      for (const CLI::Option* option : app->get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
    const auto nearest = nearest_name(word.substr(0, word.find('=')), names);
    return {"unknown option \"" + word + "\" of " + full_name(command),
            nearest ? "did you mean: " + *nearest : mistake.fix};
  }
  return mistake;
}

/// --color of a line that could not be parsed.
std::string color_of(const std::vector<std::string>& arguments) {
  constexpr std::string_view kFlag = "--color";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("--color=")) return arguments[i].substr(kFlag.size() + 1);
    if (arguments[i] == kFlag && i + 1 < arguments.size()) return arguments[i + 1];
  }
  return "auto";
}

int report(const Mistake& mistake, const std::vector<std::string>& arguments) {
  const bool color = detect_terminal(color_of(arguments)).err.has_color;
  std::fprintf(stderr, "%s %s\n  %s %s\n", styled("error:", "1;31", color).c_str(),
               mistake.message.c_str(), styled("fix:", "36", color).c_str(), mistake.fix.c_str());
  return to_int(ExitCode::usage);
}

}  // namespace

std::optional<int> parse(Cli& cli, const std::vector<std::string>& arguments) {
  if (const auto mistake = find_mistake(&cli.app, arguments);
      mistake && !(arguments.empty() || arguments[0] == "--version")) {
    return report(*mistake, arguments);
  }
  if (arguments.empty()) {
    std::cout << cli.app.help();
    return to_int(ExitCode::ok);
  }
  // CLI11 takes the words from the back.
  std::vector<std::string> words(arguments.rbegin(), arguments.rend());
  try {
    cli.app.parse(words);
  } catch (const CLI::CallForHelp&) {
    std::cout << cli.app.help();
    return to_int(ExitCode::ok);
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n';
    return to_int(ExitCode::ok);
  } catch (const CLI::ParseError& error) {
    return report(explain(chosen_command(&cli.app), error), arguments);
  }
  return std::nullopt;
}

CLI::App* find_command(CLI::App* app, const std::string& name) {
  const auto matches =
      app->get_subcommands([&](CLI::App* command) { return command->get_name() == name; });
  return matches.empty() ? nullptr : matches.front();
}

CLI::App* Cli::add(CLI::App* parent, const std::string& name, const std::string& description,
                   const std::string& example) {
  CLI::App* command = parent->add_subcommand(name, description);
  if (!example.empty()) command->footer("Example:\n  " + example);
  return command;
}

void add_global_options(Cli& cli) {
  cli.app.require_subcommand(1);
  cli.app.fallthrough();
  cli.app.set_version_flag("--version", std::string("cambrian ") + CAMBRIAN_VERSION);
  const auto group = "Options of every command";
  cli.app
      .add_option("--endpoint", cli.options.endpoint,
                  "coordinator: host:port[,host:port...] or unix:/path")
      ->group(group);
  cli.app.add_option("--context", cli.options.context, "context of the configuration file")
      ->group(group);
  cli.app.add_option("-o,--output", cli.options.output, "table, wide, json, yaml or name")
      ->check(CLI::IsMember({"table", "wide", "json", "yaml", "name"}))
      ->group(group);
  cli.app.add_flag("--json", cli.options.is_json, "the same as -o json")->group(group);
  cli.app.add_option("--color", cli.options.color, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->group(group);
  cli.app
      .add_option("--timeout", cli.options.timeout_seconds,
                  "seconds to wait for the server's answer")
      ->check(CLI::Range(0.05, 86400.0))
      ->group(group);
}

void build(Cli& cli) {
  add_global_options(cli);
  add_dev_commands(cli);
  add_demo_command(cli);
  add_task_commands(cli);
  add_campaign_commands(cli);
  add_variant_commands(cli);
  add_compare_command(cli);
  add_worker_commands(cli);
  add_doctor_command(cli);
  add_config_commands(cli);
  add_admin_commands(cli);
  add_help_commands(cli);
  add_completion_commands(cli);
}

}  // namespace cambrian::cli
