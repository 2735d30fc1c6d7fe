#include <CLI/CLI.hpp>
#include <memory>

#include "cambrian/user/v1/operation_service.grpc.pb.h"
#include "cli/cli.hpp"
#include "cli/commands/local_evaluation.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/paths.hpp"
#include "common/task/task_folder.hpp"

namespace cambrian::cli {
namespace {

using user::v1::TaskService;

int report_problems(const Session& session, const config::Document& document) {
  const std::size_t count = document.problems().size();
  session.note(document.render({.color = session.terminal().err.has_color}) +
               std::to_string(count) + (count == 1 ? " error" : " errors"));
  return to_int(ExitCode::invalid_spec);
}

int run_validate(Session& session, const std::string& folder) {
  const auto reading = task::read_task_folder(folder);
  if (!reading) return session.fail(reading.error());
  if (!reading->task) return report_problems(session, reading->document);
  const task::LoadedTask& loaded = *reading->task;
  if (session.format() == Format::name) {
    session.print(loaded.digest + "\n");
  } else if (!session.is_for_people()) {
    session.print_document(loaded.bundle);
  } else {
    std::int64_t bytes = 0;
    for (const auto& file : loaded.bundle.files()) bytes += file.size_bytes();
    session.print("task " + loaded.bundle.manifest().name() +
                  " is good: " + std::to_string(loaded.bundle.files_size()) + " files, " +
                  format_count(bytes) + " bytes, digest " + loaded.digest + "\n");
    session.note("evaluate its seed on this machine: " + program_call() + " task run " + folder);
  }
  return to_int(ExitCode::ok);
}

int run_list(Session& session) {
  user::v1::ListTasksRequest request;
  constexpr int kPageSize = 1000;
  request.set_page_size(kPageSize);
  const auto response = session.call(&TaskService::Stub::ListTasks, request);
  if (!response) return session.fail(response.error());
  if (session.format() == Format::name) {
    for (const auto& one : response->tasks()) session.print(one.digest() + "\n");
    return to_int(ExitCode::ok);
  }
  if (!session.is_for_people()) {
    session.print_document(*response);
    return to_int(ExitCode::ok);
  }
  Table table({{.title = "NAME"},
               {.title = "DIGEST"},
               {.title = "RUNTIME"},
               {.title = "OBJECTIVE"},
               {.title = "AGE", .is_right = true}});
  const auto now = std::chrono::system_clock::now();
  for (const auto& one : response->tasks()) {
    const auto& manifest = one.bundle().manifest();
    const bool wide = session.format() == Format::wide;
    table.add({manifest.name(), wide ? one.digest() : one.digest().substr(0, 12),
               short_enum(spec::v1::Runtime_Name(manifest.candidate().runtime()), "RUNTIME_"),
               manifest.objectives_size() > 0
                   ? short_enum(spec::v1::Goal_Name(manifest.objectives(0).goal()), "GOAL_") + " " +
                         manifest.objectives(0).metric()
                   : "-",
               format_age(one.create_time(), now)});
  }
  session.print(table.render(session.table_style()));
  return to_int(ExitCode::ok);
}

}  // namespace

void add_task_commands(Cli& cli) {
  CLI::App* parent = cli.add(&cli.app, "task", "what is searched: sources and their judge");
  parent->require_subcommand(1);
  auto folder = std::make_shared<std::string>();
  CLI::App* validate = cli.add(parent, "validate", "check a task folder, without a server",
                               "cambrian task validate tasks/online-bin-packing");
  validate->add_option("FOLDER", *folder, "folder with the task.yaml")->required();
  cli.on(validate, [folder](Session& session) { return run_validate(session, *folder); });
  auto run_options = std::make_shared<LocalEvaluation>();
  CLI::App* run = cli.add(parent, "run", "evaluate one source on this machine, without a server",
                          "cambrian task run tasks/online-bin-packing --source my_priority.cpp");
  run->add_option("FOLDER", run_options->folder, "folder with the task.yaml")->required();
  run->add_option("--source", run_options->source,
                  "file, or folder with the evolvable files; default: the seed");
  run->add_option("--seed", run_options->seed, "seed of the evaluation")->capture_default_str();
  run->add_flag("--sealed", run_options->is_sealed, "score on the sealed split");
  run->add_option("--set", run_options->parameters, "NAME=NUMBER: a parameter; repeatable");
  run->add_option("--evaluator", run_options->evaluator,
                  "compile, or warm: starts a warm evaluator first, half a minute for LibTorch")
      ->capture_default_str()
      ->check(CLI::IsMember({"compile", "warm"}));
  cli.on(run, [run_options](Session& session) { return run_local(session, *run_options); });
  cli.on(cli.add(parent, "list", "tasks that the server knows", "cambrian task list"), run_list);
}

}  // namespace cambrian::cli
