// From source text to the first training step: warm evaluator, Clang with a precompiled header, and
// g++ -O2, side by side for the same sources; and whether the first two give the same metrics.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/config/value.hpp"
#include "common/task/task_folder.hpp"
#include "tests/bench/evaluation/process_memory.hpp"
#include "tests/bench/evaluation/throughput.hpp"
#include "worker/adapters/grpc/convert.hpp"
#include "worker/assembly.hpp"

namespace {

using namespace cambrian;
using namespace cambrian::worker;
using bench::median;
using nlohmann::json;

constexpr std::size_t kSourceBytesMax = 1 << 20;
constexpr int kRepeatsMax = 8;
constexpr std::chrono::milliseconds kWarmUpTime = std::chrono::minutes(20);

struct Options {
  std::string task;
  std::vector<std::string> sources;
  std::vector<std::string> settings;
  std::string cache;
  int gxx = 0;
  int slots = 0;
};

double seconds(const std::optional<Duration>& duration) {
  return duration ? std::chrono::duration<double>(*duration).count() : -1;
}

Places places_of(const Options& options, EvaluatorPath path) {
  Places places = default_places();
  // One cache each: what one has built, the other has not.
  places.cache = std::filesystem::path(options.cache) / std::string(to_string(path));
  places.evaluator = path;
  return places;
}

/// Runs the command and gives the seconds that it took, or -1.
double time_command(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const auto begun = std::chrono::steady_clock::now();
  pid_t process = -1;
  if (posix_spawnp(&process, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return -1;
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0) return -1;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

/// What g++ -O2 takes to make the program that the plain path would start.
double time_gxx(const Options& options, const Task& task, const std::string& source) {
  const bool libtorch = task.manifest.candidate.runtime == Runtime::libtorch;
  const std::filesystem::path sdk = default_places().sdk;
  const std::string seed = options.task + "/seed";
  std::vector<std::string> command = {"g++",
                                      "-std=c++20",
                                      "-O2",
                                      "-pthread",
                                      "-w",
                                      "-fuse-ld=mold",
                                      "-I" + (sdk / "include").string(),
                                      "-I" + seed};
  if (libtorch) command.insert(command.end(), {"-isystem", "/usr/include/torch/csrc/api/include"});
  command.insert(command.end(), {"-o", options.cache + "/gxx-program", source});
  for (const TaskFile& file : task.files) {
    const std::string& evolved = task.manifest.candidate.evolve.at(0);
    if (file.path.starts_with("seed/") && file.path.ends_with(".cpp") &&
        file.path != "seed/" + evolved) {
      command.push_back(options.task + "/" + file.path);
    }
  }
  command.push_back(
      (sdk / (libtorch ? "lib/libcambrian_torch_candidate.a" : "lib/libcambrian_candidate.a"))
          .string());
  if (libtorch) command.insert(command.end(), {"-ltorch", "-ltorch_cpu", "-lc10"});
  return time_command(command);
}

json describe(const EvaluationResult& result) {
  const double compile = seconds(result.timings.compile);
  const double start = seconds(result.timings.start);
  const double first_step = seconds(result.timings.first_step);
  return {
      {"evaluator", to_string(result.path)},
      {"outcome", to_string(result.outcome)},
      {"compile_seconds", compile},
      {"start_seconds", start},
      // Candidates that do not train answer as soon as they are ready.
      {"first_step_seconds", first_step >= 0 ? first_step : (start >= 0 ? compile + start : -1)},
      {"total_seconds", seconds(result.timings.total)},
      {"cpu_seconds", seconds(result.usage.cpu_time)},
      {"memory_peak_bytes", result.usage.memory_peak_bytes},
      {"metrics", result.metrics}};
}

Result<EvaluationRequest> make_request(const std::shared_ptr<const Task>& task,
                                       const Options& options, const std::string& source) {
  EvaluationRequest request;
  request.task = task;
  CAMBRIAN_TRY(std::string content, config::read_text_file(source, kSourceBytesMax));
  request.sources = {{task->manifest.candidate.evolve.at(0), std::move(content)}};
  request.parameters = task->manifest.parameters;
  for (const std::string& setting : options.settings) {
    const std::size_t equals = setting.find('=');
    const auto value = config::parse_double(std::string_view(setting).substr(equals + 1));
    if (!value) return fail(Errc::invalid_argument, "not NAME=NUMBER: " + setting);
    request.parameters[setting.substr(0, equals)] = *value;
  }
  return request;
}

// What was measured by a clock is never the same.
json without_times(json metrics) {
  for (auto metric = metrics.begin(); metric != metrics.end();) {
    metric = metric.key().ends_with("_seconds") ? metrics.erase(metric) : std::next(metric);
  }
  return metrics;
}

bool are_equal(const json& one, const json& other) {
  return one["outcome"] == other["outcome"] &&
         without_times(one["metrics"]) == without_times(other["metrics"]);
}

// Medians over the sources, by way and phase; and over those that both ways built.
json summarise(const json& rows) {
  json summary;
  for (const char* way : {"warm", "compile"}) {
    for (const char* phase : {"compile_seconds", "start_seconds", "first_step_seconds"}) {
      std::vector<double> values;
      for (const json& row : rows) {
        if (row[way]["outcome"] == "success") values.push_back(row[way][phase]);
      }
      summary[way][phase]["p50"] = median(values);
      summary[way]["sources"] = values.size();
    }
  }
  std::vector<double> gxx, gxx_first_step;
  int equal = 0;
  int unrepeatable = 0;
  json different = json::array();
  int warm = 0;
  for (const json& row : rows) {
    const bool is_equal = are_equal(row["warm"], row["compile"]);
    const bool is_repeatable =
        !row.contains("compile_again") || are_equal(row["compile"], row["compile_again"]);
    equal += is_equal ? 1 : 0;
    unrepeatable += is_repeatable ? 0 : 1;
    warm += row["warm"]["evaluator"] == "warm" ? 1 : 0;
    if (!is_equal && is_repeatable) different.push_back(row["source"]);
    const double built = row["gxx_compile_seconds"];
    if (built < 0 || row["compile"]["outcome"] != "success") continue;
    gxx.push_back(built);
    // The program starts as one that Clang compiled.
    gxx_first_step.push_back(built + row["compile"]["first_step_seconds"].get<double>() -
                             row["compile"]["compile_seconds"].get<double>());
  }
  summary["gxx"] = {{"compile_seconds", {{"p50", median(gxx)}}},
                    {"first_step_seconds", {{"p50", median(gxx_first_step)}}},
                    {"sources", gxx.size()}};
  const double fast = summary["warm"]["first_step_seconds"]["p50"];
  if (!gxx.empty() && fast > 0) summary["times_faster_than_gxx"] = median(gxx_first_step) / fast;
  summary["parity"] = {{"sources", rows.size()},
                       {"built_warm", warm},
                       {"equal", equal},
                       {"unrepeatable", unrepeatable},
                       {"different", std::move(different)}};
  return summary;
}

struct Bench {
  const Options& options;
  std::shared_ptr<const Task> task;
  std::unique_ptr<Workshop> warm;
  std::unique_ptr<Workshop> plain;
};

Result<EvaluationResult> evaluate(Workshop& on, const EvaluationRequest& request) {
  return on.evaluator().evaluate(request, {}, [](auto, auto) {});
}

// What the first evaluation of a task would wait for, in both ways.
Result<Duration> warm_up(Bench& bench) {
  CAMBRIAN_TRY(const EvaluationRequest first,
               make_request(bench.task, bench.options, bench.options.sources.at(0)));
  const auto kind = warm_kind(first);
  if (!kind) return fail(Errc::invalid_argument, "no task for warm evaluators");
  const bool libtorch = bench.task->manifest.candidate.runtime == Runtime::libtorch;
  if (bench.task->manifest.candidate.runtime != Runtime::process) {
    Toolchain& toolchain = bench.plain->toolchain();
    CAMBRIAN_TRY(const auto header,
                 toolchain.precompiled_header(toolchain.compile_options(libtorch), {}));
  }
  const auto begun = std::chrono::steady_clock::now();
  for (const auto& wanted : {kind, warm_judge_kind(first)}) {
    if (wanted && !bench.warm->warm_templates()->wait_ready(*wanted, kWarmUpTime, {})) {
      return fail(Errc::unavailable, "the warm evaluator did not start");
    }
  }
  return std::chrono::steady_clock::now() - begun;
}

// All sources, one after the other, each in every way.
Result<json> compare_ways(Bench& bench) {
  const Options& options = bench.options;
  json rows = json::array();
  for (const std::string& source : options.sources) {
    CAMBRIAN_TRY(const EvaluationRequest request, make_request(bench.task, options, source));
    CAMBRIAN_TRY(const EvaluationResult by_warm, evaluate(*bench.warm, request));
    CAMBRIAN_TRY(const EvaluationResult by_compiler, evaluate(*bench.plain, request));
    const bool is_timed = static_cast<int>(rows.size()) < options.gxx;
    rows.push_back(
        {{"source", source},
         {"warm", describe(by_warm)},
         {"compile", describe(by_compiler)},
         {"gxx_compile_seconds", is_timed ? time_gxx(options, *bench.task, source) : -1}});
    json& row = rows.back();
    if (!are_equal(row["warm"], row["compile"])) {
      // A source that looks at the clock differs from itself, though not each time.
      for (int i = 0; i < kRepeatsMax; ++i) {
        CAMBRIAN_TRY(const EvaluationResult again, evaluate(*bench.plain, request));
        row["compile_again"] = describe(again);
        if (!are_equal(row["compile"], row["compile_again"])) break;
      }
    }
    std::cerr << row.dump() << '\n';
  }
  return rows;
}

Result<json> run_slots(Bench& bench, std::int64_t idle_bytes) {
  std::vector<EvaluationRequest> requests;
  for (const std::string& source : bench.options.sources) {
    CAMBRIAN_TRY(requests.emplace_back(), make_request(bench.task, bench.options, source));
  }
  // The judge is compiled once for each task, not for each evaluation.
  CAMBRIAN_TRY(const auto first, evaluate(*bench.warm, requests.front()));
  requests.erase(requests.begin());
  return bench::measure_throughput(*bench.warm, requests, bench.options.slots, idle_bytes);
}

Result<json> run(const Options& options) {
  CAMBRIAN_TRY(task::LoadedTask loaded, task::load_task_folder(options.task));
  Bench bench{options, nullptr, nullptr, nullptr};
  CAMBRIAN_TRY(bench.task, from_proto(loaded.bundle, loaded.digest, std::move(loaded.contents)));
  CAMBRIAN_TRY(bench.warm, Workshop::open(places_of(options, EvaluatorPath::warm)));
  CAMBRIAN_TRY(bench.plain, Workshop::open(places_of(options, EvaluatorPath::compile)));
  CAMBRIAN_TRY(const Duration warmed, warm_up(bench));
  const std::int64_t memory = bench::warm_memory_bytes();
  json result = {{"task", bench.task->manifest.name}};
  if (options.slots > 0) {
    CAMBRIAN_TRY(result["throughput"], run_slots(bench, memory));
  } else {
    CAMBRIAN_TRY(result["sandbox_start_seconds"],
                 bench::measure_sandbox(bench.plain->toolchain().sandbox()));
    CAMBRIAN_TRY(result["sources"], compare_ways(bench));
    result["summary"] = summarise(result["sources"]);
    result["summary"]["warm_up_seconds"] = seconds(warmed);
    result["summary"]["warm_memory_bytes"] = memory;
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Times the ways from source text to the first training step");
  app.add_option("task", options.task, "task folder")->required();
  app.add_option("sources", options.sources, "variants of its evolvable file")->required();
  app.add_option("--set", options.settings, "NAME=NUMBER: a parameter of the task");
  app.add_option("--cache", options.cache, "folder for caches")->required();
  app.add_option("--slots", options.slots,
                 "only count evaluations by the warm way in so many slots");
  app.add_option("--gxx", options.gxx, "compile so many of them with g++ -O2, too");
  CLI11_PARSE(app, argc, argv);
  const auto result = run(options);
  if (!result) {
    std::cerr << "error: " << result.error().message << '\n';
    return 1;
  }
  std::cout << result->dump(2) << '\n';
}
