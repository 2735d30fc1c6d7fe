// From source text to the first training step: warm evaluator, Clang with a precompiled header, and
// g++ -O2, side by side for the same sources; and whether the first two give the same metrics.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/config/value.hpp"
#include "common/task/task_folder.hpp"
#include "worker/adapters/grpc/convert.hpp"
#include "worker/assembly.hpp"

namespace {

using namespace cambrian;
using namespace cambrian::worker;
using nlohmann::json;

constexpr std::size_t kSourceBytesMax = 1 << 20;
constexpr std::chrono::milliseconds kWarmUpTime = std::chrono::minutes(20);

struct Options {
  std::string task;
  std::vector<std::string> sources;
  std::vector<std::string> settings;
  std::string cache;
  int gxx = 0;
};

double seconds(const std::optional<Duration>& duration) {
  return duration ? std::chrono::duration<double>(*duration).count() : -1;
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double value) { return value < 0; });
  if (values.empty()) return -1;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
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
  json different = json::array();
  int warm = 0;
  for (const json& row : rows) {
    const bool is_equal =
        row["warm"]["outcome"] == row["compile"]["outcome"] &&
        without_times(row["warm"]["metrics"]) == without_times(row["compile"]["metrics"]);
    equal += is_equal ? 1 : 0;
    warm += row["warm"]["evaluator"] == "warm" ? 1 : 0;
    if (!is_equal) different.push_back(row["source"]);
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
                       {"different", std::move(different)}};
  return summary;
}

Result<json> run(const Options& options) {
  CAMBRIAN_TRY(task::LoadedTask loaded, task::load_task_folder(options.task));
  CAMBRIAN_TRY(const std::shared_ptr<const Task> task,
               from_proto(loaded.bundle, loaded.digest, std::move(loaded.contents)));
  CAMBRIAN_TRY(const auto warm, Workshop::open(places_of(options, EvaluatorPath::warm)));
  CAMBRIAN_TRY(const auto plain, Workshop::open(places_of(options, EvaluatorPath::compile)));
  const bool libtorch = task->manifest.candidate.runtime == Runtime::libtorch;
  CAMBRIAN_TRY(const auto header, plain->toolchain().precompiled_header(
                                      plain->toolchain().compile_options(libtorch), {}));
  const auto begun = std::chrono::steady_clock::now();
  WarmTemplates& templates = *warm->warm_templates();
  if (!templates.wait_ready(task->manifest.candidate.runtime, kWarmUpTime, {})) {
    return fail(Errc::unavailable, "the warm evaluator did not start");
  }
  const Duration warm_up = std::chrono::steady_clock::now() - begun;
  json rows = json::array();
  for (const std::string& source : options.sources) {
    CAMBRIAN_TRY(const EvaluationRequest request, make_request(task, options, source));
    const auto evaluate = [&](Workshop& on) {
      return on.evaluator().evaluate(request, {}, [](auto, auto) {});
    };
    CAMBRIAN_TRY(const EvaluationResult by_warm, evaluate(*warm));
    CAMBRIAN_TRY(const EvaluationResult by_compiler, evaluate(*plain));
    const bool is_timed = static_cast<int>(rows.size()) < options.gxx;
    rows.push_back({{"source", source},
                    {"warm", describe(by_warm)},
                    {"compile", describe(by_compiler)},
                    {"gxx_compile_seconds", is_timed ? time_gxx(options, *task, source) : -1}});
    std::cerr << rows.back().dump() << '\n';
  }
  json summary = summarise(rows);
  summary["warm_up_seconds"] = seconds(warm_up);
  summary["warm_memory_bytes"] = templates.memory_bytes();
  return json{{"task", task->manifest.name}, {"summary", summary}, {"sources", rows}};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Times the ways from source text to the first training step");
  app.add_option("task", options.task, "task folder")->required();
  app.add_option("sources", options.sources, "variants of its evolvable file")->required();
  app.add_option("--set", options.settings, "NAME=NUMBER: a parameter of the task");
  app.add_option("--cache", options.cache, "folder for caches")->required();
  app.add_option("--gxx", options.gxx, "compile so many of them with g++ -O2, too");
  CLI11_PARSE(app, argc, argv);
  const auto result = run(options);
  if (!result) {
    std::cerr << "error: " << result.error().message << '\n';
    return 1;
  }
  std::cout << result->dump(2) << '\n';
}
