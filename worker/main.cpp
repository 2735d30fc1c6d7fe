#include <CLI/CLI.hpp>
#include <iostream>

#include "worker/agent_command.hpp"
#include "worker/evaluate_command.hpp"
#include "worker/probe_command.hpp"

namespace {

using namespace cambrian::worker;

struct Flags {
  AgentFlags agent;
  EvaluateOptions evaluate;
  bool probe_as_json = false;
  std::string cache;
};

void add_agent_flags(CLI::App& app, Flags& flags, Places& places) {
  AgentFlags& agent = flags.agent;
  app.add_option("--config", agent.config_file, "configuration file (YAML)");
  app.add_option("--coordinator", agent.coordinator,
                 "host:port[,host:port...] or unix:/path of the coordinator");
  app.add_option("--name", agent.name, "name for people; default: host and process");
  app.add_option("--slots", agent.slots, "evaluations at once; default: GPUs, else cores")
      ->check(CLI::Range(1, kSlotsMax));
  app.add_option("--gpus", agent.gpus, "all, none, or indices and UUIDs separated by commas");
  app.add_option("--metrics-listen", agent.metrics_listen, "serve /metrics here: host:port");
  app.add_option("--idle-exit", agent.idle_exit_seconds, "exit after so many seconds without work");
  app.add_option("--data", agent.data, "NAME=FOLDER: value of ${NAME} in data paths of tasks");
  app.add_option("--cache", flags.cache, "folder for caches and scratch");
  app.add_option("--evaluator", agent.evaluator,
                 "how candidates are built: warm (default of a worker) or compile")
      ->check(CLI::IsMember({"warm", "compile"}));
  app.add_option("--sdk", places.sdk, "SDK for tasks (CAMBRIAN_SDK)");
  app.add_option("--torch", places.torch, "LibTorch, where it is not in /usr (CAMBRIAN_TORCH)");
  app.set_version_flag("--version", CAMBRIAN_VERSION);
}

CLI::App* add_evaluate(CLI::App& app, EvaluateOptions& evaluate) {
  CLI::App* command = app.add_subcommand("evaluate", "evaluate one source on this machine");
  command->add_option("task", evaluate.task_folder, "task folder")->required();
  command->add_option("--source", evaluate.sources, "FILE or PATH=FILE; default: the seed");
  command->add_option("--seed", evaluate.seed, "seed of the evaluation");
  command->add_option("--split", evaluate.split, "data to score on")
      ->check(CLI::IsMember({"validation", "sealed"}));
  command->add_option("--set", evaluate.settings, "NAME=NUMBER: a parameter of the task");
  command->add_option("--gpu", evaluate.gpus, "index or UUID of a GPU to use");
  command->add_flag("--json", "print JSON, which is the only format");
  return command;
}

}  // namespace

int main(int argc, char** argv) {
  Places places = default_places();
  Flags flags;
  CLI::App app("Evaluates variants: leases work from a coordinator, or does one evaluation here");
  app.fallthrough();
  add_agent_flags(app, flags, places);
  const CLI::App* evaluate = add_evaluate(app, flags.evaluate);
  CLI::App* probe = app.add_subcommand("probe", "say what this machine can do");
  probe->add_flag("--json", flags.probe_as_json, "as JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }

  // To start a warm evaluator takes longer than one compile.
  if (*evaluate) flags.agent.evaluator_default = "compile";
  const auto config = make_config(flags.agent);
  if (!config) {
    std::cerr << "error: " << config.error().message << '\n';
    return kExitInvalid;
  }
  apply_config(*config, places);
  if (!flags.cache.empty()) places.cache = flags.cache;
  if (*evaluate) return run_evaluate(flags.evaluate, places);
  if (*probe) return run_probe(places, flags.probe_as_json);
  return run_agent(*config, places);
}
