#include <CLI/CLI.hpp>
#include <memory>

#include "cli/cli.hpp"
#include "cli/paths.hpp"

namespace cambrian::cli {
namespace {

constexpr const char* kExitCodes = R"(Exit codes of cambrian:
    0  ok
    1  it did not work
    2  the command line is wrong
    3  a campaign or task file is wrong; nothing was sent
    4  not allowed
    5  the thing named does not exist
    6  no answer from the server in time
    7  what was waited for did not come in time, or cannot come any more
  130  interrupted
)";

constexpr const char* kEnvironment = R"(Environment variables of cambrian; a flag wins over them:
  CAMBRIAN_ENDPOINT       address of the coordinator: host:port[,host:port...] or unix:/path
  CAMBRIAN_CONTEXT        context of the configuration file
  CAMBRIAN_TOKEN          token for the coordinator, instead of the context's token_file
  CAMBRIAN_CONFIG         configuration file instead of $XDG_CONFIG_HOME/cambrian/config.yaml
  CAMBRIAN_DEV_DIRECTORY  folder of the local environment instead of $XDG_DATA_HOME/cambrian/dev
  CAMBRIAN_PROGRAM        how this program is called, for hints
  CAMBRIAN_LOG            log level of the programs: debug, info, warn, error
  NO_COLOR                no colours, when it is not empty
  FORCE_COLOR             colours also where the output is not a terminal
)";

/// `help campaign submit` is `campaign submit --help`.
int run_help(Session& session, CLI::App* app, const std::vector<std::string>& topic) {
  if (topic == std::vector<std::string>{"exit-codes"}) {
    session.print(kExitCodes);
    return to_int(ExitCode::ok);
  }
  if (topic == std::vector<std::string>{"environment"}) {
    session.print(kEnvironment);
    return to_int(ExitCode::ok);
  }
  std::string above;
  for (const std::string& word : topic) {
    above += (above.empty() ? "" : " ") + app->get_name();
    app = find_command(app, word);
    if (app == nullptr) {
      return session.fail(ExitCode::usage, "no help for \"" + word + "\"",
                          "topics: exit-codes, environment, or a command");
    }
  }
  // CLI11 shows the help of the parsed command (this one) when the program itself is asked.
  session.print(topic.empty() ? app->get_formatter()->make_help(app, app->get_name(),
                                                                CLI::AppFormatMode::Normal)
                              : app->help(above));
  return to_int(ExitCode::ok);
}

}  // namespace

void add_help_commands(Cli& cli) {
  auto topic = std::make_shared<std::vector<std::string>>();
  CLI::App* help = cli.add(&cli.app, "help", "help for a command, exit-codes or environment",
                           "cambrian help exit-codes");
  help->add_option("TOPIC", *topic, "command, exit-codes or environment");
  cli.on(help,
         [topic, root = &cli.app](Session& session) { return run_help(session, root, *topic); });
  CLI::App* version = cli.add(&cli.app, "version", "version of this program");
  cli.on(version, [](Session& session) {
    const std::string text = CAMBRIAN_VERSION;
    switch (session.format()) {
      case Format::json: session.print("{\"version\": \"" + text + "\"}\n"); break;
      case Format::yaml: session.print("version: " + text + "\n"); break;
      case Format::name: session.print(text + "\n"); break;
      default: session.print("cambrian " + text + "\n");
    }
    return to_int(ExitCode::ok);
  });
  cli.app.footer("Topics: cambrian help exit-codes, cambrian help environment");
}

}  // namespace cambrian::cli
