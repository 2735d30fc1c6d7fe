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

/// What `set-context` puts into a context beside the address.
struct ContextOptions {
  std::string name{};
  bool has_tls = false;
  config::v1::ClientTlsConfig tls{};
  std::string token_file{};
};

std::string absolute(const std::string& path) {
  return path.empty() ? path : std::filesystem::absolute(path).string();
}

config::v1::CliContext context_of(const std::string& endpoint, const ContextOptions& options) {
  config::v1::CliContext context;
  context.set_endpoint(endpoint);
  context.set_token_file(absolute(options.token_file));
  if (!options.has_tls && options.tls.ByteSizeLong() == 0) return context;
  auto& tls = *context.mutable_tls();
  tls.set_ca_file(absolute(options.tls.ca_file()));
  tls.set_certificate_file(absolute(options.tls.certificate_file()));
  tls.set_key_file(absolute(options.tls.key_file()));
  tls.set_server_name(options.tls.server_name());
  return context;
}

int run_set(Session& session, const ContextOptions& options) {
  const std::string& name = options.name;
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
  (*config->mutable_contexts())[name] = context_of(session.options().endpoint, options);
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

void add_set_command(Cli& cli, CLI::App* parent) {
  auto options = std::make_shared<ContextOptions>();
  CLI::App* set = cli.add(parent, "set-context", "add or replace a context",
                          "cambrian config set-context lab --endpoint lab.example:7070 "
                          "--tls-ca-file ca.pem --token-file lab.token");
  set->add_option("NAME", options->name, "name of the context")->required();
  set->add_flag("--tls", options->has_tls, "talk TLS, trusting the system's authorities");
  set->add_option("--tls-ca-file", *options->tls.mutable_ca_file(),
                  "talk TLS, trusting the authorities of this file");
  set->add_option("--tls-certificate-file", *options->tls.mutable_certificate_file(),
                  "certificate for a server that asks for one");
  set->add_option("--tls-key-file", *options->tls.mutable_key_file(), "its private key");
  set->add_option("--tls-server-name", *options->tls.mutable_server_name(),
                  "name in the server's certificate, where it is not that of the address");
  set->add_option("--token-file", options->token_file, "file with your token");
  cli.on(set, [options](Session& session) { return run_set(session, *options); });
}

}  // namespace

void add_config_commands(Cli& cli) {
  CLI::App* parent = cli.add(&cli.app, "config", "which server the commands talk to");
  parent->require_subcommand(1);
  cli.on(cli.add(parent, "view", "contexts, and the server in use", "cambrian config view"),
         run_view);
  add_set_command(cli, parent);
  auto context = std::make_shared<std::string>();
  CLI::App* use = cli.add(parent, "use-context", "choose a context; without a name none",
                          "cambrian config use-context lab");
  use->add_option("NAME", *context, "name of the context");
  cli.on(use, [context](Session& session) { return run_use(session, *context); });
}

}  // namespace cambrian::cli
