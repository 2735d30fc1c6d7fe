#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/dev_report.hpp"
#include "cli/dev/environment.hpp"
#include "cli/dev/process.hpp"
#include "cli/dev/supervisor.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"

namespace cambrian::cli {
namespace {

using dev::EnvironmentOptions;

void add_directory(CLI::App* command, EnvironmentOptions& options) {
  command->add_option("--directory", options.directory, "folder of the environment")
      ->default_str(dev_directory().string());
}

void add_environment_options(CLI::App* command, EnvironmentOptions& options) {
  add_directory(command, options);
  command->add_option("--workers", options.workers, "worker processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      ->add_option("--slots", options.slots,
                   "evaluations at once of each worker; default: the cores, shared")
      ->check(CLI::Range(0, 64));
  command->add_option("--listen", options.listen,
                      "address of the coordinator; default 127.0.0.1:7070, or a free port");
  command->add_option("--base-url", options.base_url,
                      "OpenAI-compatible endpoint instead of the embedded code model");
  command->add_option("--model", options.model, "model of that endpoint");
  command->add_option("--key-file", options.key_file, "file with the key of that endpoint");
  command->add_option("--codegen-config", options.codegen_config,
                      "configuration file of the codegen client instead of --base-url");
  command->add_option("--worker-config", options.worker_config,
                      "configuration file of the workers");
  command->add_flag("--detach", "run in the background: always so, for the habit");
}

int run_up(Session& session, const EnvironmentOptions& options) {
  if (!options.base_url.empty() && options.model.empty()) {
    return session.fail(ExitCode::usage, "--base-url needs --model",
                        "name a model of that endpoint: --model NAME");
  }
  const auto result = dev::up(complete(options), reporter(session));
  if (!result) {
    // A missing program, a taken port, a full disk: the environment failed, not the server.
    return session.fail(ExitCode::failure, result.error().message);
  }
  const Status reached = wait_for_agents(session, result->state, complete(options));
  if (!reached) return session.fail(ExitCode::failure, reached.error().message);
  session.print(session.is_for_people() ? describe(*result, complete(options))
                                        : state_document(result->state, true, session.format()));
  return to_int(ExitCode::ok);
}

/// The words that name a folder which commands do not find by themselves.
std::string directory_words(const EnvironmentOptions& options) {
  return options.directory.empty() ? "" : " --directory " + options.directory.string();
}

/// A demo has a folder of its own: who named none may mean it.
std::string nothing_ran(const EnvironmentOptions& options) {
  std::string text = "nothing was running";
  if (!options.directory.empty()) return text;
  const auto demo = dev::status(demo_directory());
  if (!demo || !*demo || !(*demo)->is_running) return text;
  return text + "; what a demo started does: " + program_call() + " dev down --directory " +
         demo_directory().string();
}

int run_down(Session& session, const EnvironmentOptions& options) {
  const auto was_running = dev::down(complete(options).directory, reporter(session));
  if (!was_running) return session.fail(ExitCode::failure, was_running.error().message);
  session.note(*was_running
                   ? "stopped; nothing was deleted: " + program_call() + " dev up goes on from here"
                   : nothing_ran(options));
  if (session.is_document()) session.print_object({{"was_running", *was_running}});
  return to_int(ExitCode::ok);
}

int run_status(Session& session, const EnvironmentOptions& options) {
  const auto status = dev::status(complete(options).directory);
  if (!status) return session.fail(status.error());
  const bool is_running = *status && (*status)->is_running;
  if (!is_running) {
    if (!session.is_for_people()) session.print(state_document({}, false, session.format()));
    const bool has_orphans =
        *status && std::ranges::any_of((*status)->state.services,
                                       [](auto& one) { return dev::is_alive(one.process); });
    return session.fail(ExitCode::failure,
                        has_orphans ? "the supervisor was killed; its services still run"
                                    : "the local environment is not running",
                        "start it with: " + program_call() + " dev up" + directory_words(options));
  }
  const dev::State& state = (*status)->state;
  if (!session.is_for_people()) {
    session.print(state_document(state, true, session.format()));
    return to_int(ExitCode::ok);
  }
  session.print(service_table(state, session));
  return to_int(ExitCode::ok);
}

/// The one program in the background that looks after the others.
int run_supervise(Session& session, const EnvironmentOptions& options) {
  const Status status = dev::supervise(complete(options));
  if (status) return to_int(ExitCode::ok);
  return session.fail(ExitCode::failure, status.error().message);
}

}  // namespace

void add_dev_commands(Cli& cli) {
  CLI::App* parent = cli.add(&cli.app, "dev", "run everything on this machine");
  parent->require_subcommand(1);
  const auto add = [&](const char* name, const char* description, const char* example,
                       int (*action)(Session&, const EnvironmentOptions&), bool with_all) {
    auto options = std::make_shared<EnvironmentOptions>();
    CLI::App* command = cli.add(parent, name, description, example);
    if (with_all) {
      add_environment_options(command, *options);
    } else {
      add_directory(command, *options);
    }
    cli.on(command, [options, action](Session& session) { return action(session, *options); });
    return command;
  };
  add("up", "start PostgreSQL, coordinator, code model, codegen client and workers",
      "cambrian dev up --workers 2", run_up, true);
  add("down", "stop them; data stay", "cambrian dev down", run_down, false);
  add("status", "show what runs", "cambrian dev status", run_status, false);
  add("supervise", "run in the foreground; used by dev up", "", run_supervise, true)->group("");
}

}  // namespace cambrian::cli
