#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "cambrian/config/v1/config.pb.h"
#include "cli/cli.hpp"
#include "cli/output/document.hpp"
#include "cli/output/table.hpp"
#include "cli/paths.hpp"
#include "common/config/reader.hpp"
#include "common/task/names.hpp"

namespace cambrian::cli {
namespace {

using config::v1::CliConfig;

Result<CliConfig> read_config() {
  std::error_code ignored;
  if (!std::filesystem::exists(config_file_path(), ignored)) return CliConfig{};
  return config::read_config_file<CliConfig>(config_file_path());
}

Status write_config(const CliConfig& config) {
  const auto path = config_file_path();
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  const std::string partial = path.string() + ".partial";
  std::ofstream output(partial, std::ios::trunc);
  output << to_yaml(config, false);
  output.close();
  if (!output) {
    return fail(Errc::internal, "cannot write " + partial + ": " + std::strerror(errno));
  }
  std::filesystem::rename(partial, path, error);
  if (error) return fail(Errc::internal, "cannot write " + path.string() + ": " + error.message());
  return {};
}

int run_view(Session& session) {
  const auto config = read_config();
  if (!config) return session.fail(config.error());
  const auto endpoint = resolve_endpoint(session.options());
  if (!session.is_for_people()) {
    session.print_document(*config);
    return to_int(ExitCode::ok);
  }
  Table table({{.title = "CURRENT"}, {.title = "CONTEXT"}, {.title = "ENDPOINT"}});
  for (const auto& [name, context] :
       std::map(config->contexts().begin(), config->contexts().end())) {
    table.add({name == config->current_context() ? "*" : "", name, context.endpoint()});
  }
  if (!table.is_empty()) session.print(table.render({}));
  session.note("file: " + config_file_path().string());
  if (!endpoint) return session.fail(endpoint.error());
  session.note("in use: " + endpoint->address + " (" + endpoint->origin + ")");
  return to_int(ExitCode::ok);
}

int run_set(Session& session, const std::string& name) {
  if (!task::is_resource_name(name)) {
    return session.fail(ExitCode::usage, "not a valid name: " + name,
                        "use lower case letters, digits and dashes");
  }
  if (session.options().endpoint.empty()) {
    return session.fail(ExitCode::usage, "--endpoint is missing",
                        program_call() + " config set-context " + name + " --endpoint HOST:PORT");
  }
  auto config = read_config();
  if (!config) return session.fail(config.error());
  (*config->mutable_contexts())[name].set_endpoint(session.options().endpoint);
  const Status written = write_config(*config);
  if (!written) return session.fail(written.error());
  session.note("use it with: " + program_call() + " config use-context " + name);
  if (session.is_document()) session.print_document(*config);
  return to_int(ExitCode::ok);
}

int run_use(Session& session, const std::string& name) {
  auto config = read_config();
  if (!config) return session.fail(config.error());
  if (!name.empty() && !config->contexts().contains(name)) {
    return session.fail(ExitCode::not_found, "unknown context: " + name,
                        "make it with: " + program_call() + " config set-context " + name +
                            " --endpoint HOST:PORT");
  }
  config->set_current_context(name);
  const Status written = write_config(*config);
  if (!written) return session.fail(written.error());
  session.note(name.empty() ? "no context: the local environment is used" : "using " + name);
  if (session.is_document()) session.print_document(*config);
  return to_int(ExitCode::ok);
}

}  // namespace

void add_config_commands(Cli& cli) {
  CLI::App* parent = cli.add(&cli.app, "config", "which server the commands talk to");
  parent->require_subcommand(1);
  cli.on(cli.add(parent, "view", "contexts, and the server in use", "cambrian config view"),
         run_view);
  const auto add = [&](const char* name, const char* description, const char* example,
                       int (*action)(Session&, const std::string&), bool is_required) {
    auto context = std::make_shared<std::string>();
    CLI::App* command = cli.add(parent, name, description, example);
    command->add_option("NAME", *context, "name of the context")->required(is_required);
    cli.on(command, [context, action](Session& session) { return action(session, *context); });
  };
  add("set-context", "add or change a context",
      "cambrian config set-context lab --endpoint lab.example:7070", run_set, true);
  add("use-context", "choose a context; without a name none", "cambrian config use-context lab",
      run_use, false);
}

}  // namespace cambrian::cli
