#include "worker/probe_command.hpp"

#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "worker/adapters/sandbox/gpus.hpp"

namespace cambrian::worker {
namespace {

using nlohmann::json;

json probe_toolchain(const Places& places, Sandbox& sandbox) {
  auto cache = FolderCache::open(places.cache, places.cache_bytes);
  if (!cache) return {{"problem", cache.error().message}};
  const auto toolchain = Toolchain::find(
      {places.sdk, places.torch, places.programs, places.compiler}, sandbox, **cache);
  if (!toolchain) return {{"problem", toolchain.error().message}};
  json runtimes = {"cpp", "process"};
  if ((*toolchain)->has_libtorch()) runtimes.push_back("libtorch");
  json evaluators = {"compile"};
  if ((*toolchain)->compiler() == Compiler::clang &&
      access((places.programs / "cambrian-evaluator").c_str(), X_OK) == 0) {
    evaluators.push_back("warm");
  }
  return {
      {"versions", (*toolchain)->versions()}, {"runtimes", runtimes}, {"evaluators", evaluators}};
}

json probe_gpus() {
  const auto gpus = find_gpus("all");
  if (!gpus) return {{"problem", gpus.error().message}};
  json list = json::array();
  for (const GpuDevice& gpu : *gpus) {
    list.push_back({{"id", gpu.id}, {"name", gpu.name}, {"memory_bytes", gpu.memory_bytes}});
  }
  return list;
}

}  // namespace

int run_probe(const Places& places, bool as_json) {
  const SandboxProbe probe = probe_sandbox(places.programs);
  json found = {{"sandbox",
                 {{"level", to_string(probe.level)},
                  {"walls", probe.walls},
                  {"missing", probe.missing},
                  {"start_seconds", std::chrono::duration<double>(probe.start_time).count()}}},
                {"cores", std::thread::hardware_concurrency()},
                {"gpus", probe_gpus()},
                {"sdk", places.sdk.string()},
                {"cache", places.cache.string()}};
  if (!probe.reason.empty()) found["sandbox"]["problem"] = probe.reason;
  bool is_usable = probe.sandbox != nullptr;
  if (is_usable) {
    found["toolchain"] = probe_toolchain(places, *probe.sandbox);
    is_usable = !found["toolchain"].contains("problem");
  }
  if (as_json) {
    std::cout << found.dump(2) << '\n';
  } else {
    for (const auto& [name, value] : found.items()) std::cout << name << ": " << value << '\n';
  }
  return is_usable ? 0 : 1;
}

}  // namespace cambrian::worker
