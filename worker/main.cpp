#include <CLI/CLI.hpp>
#include <iostream>

#include "worker/evaluate_command.hpp"

int main(int argc, char** argv) {
  using namespace cambrian::worker;
  Places places = default_places();
  CLI::App app("Evaluates variants: leases work from a coordinator, or one evaluation here");
  app.add_option("--sdk", places.sdk, "SDK for tasks (CAMBRIAN_SDK)");
  app.add_option("--torch", places.torch, "LibTorch, where it is not in /usr (CAMBRIAN_TORCH)");
  app.add_option("--cache", places.cache, "folder for caches and scratch");

  EvaluateOptions evaluate;
  CLI::App* evaluate_app = app.add_subcommand("evaluate", "evaluate one source on this machine");
  evaluate_app->add_option("task", evaluate.task_folder, "task folder")->required();
  evaluate_app->add_option("--source", evaluate.sources, "FILE or PATH=FILE; default: the seed");
  evaluate_app->add_option("--seed", evaluate.seed, "seed of the evaluation");
  evaluate_app->add_option("--split", evaluate.split, "data to score on")
      ->check(CLI::IsMember({"validation", "sealed"}));
  evaluate_app->add_option("--set", evaluate.settings, "NAME=NUMBER: a parameter of the task");
  evaluate_app->add_option("--gpu", evaluate.gpus, "ids of GPUs to use");
  evaluate_app->add_flag("--json", "print JSON, which is the only format");
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  if (*evaluate_app) return run_evaluate(evaluate, places);
  return 0;
}
