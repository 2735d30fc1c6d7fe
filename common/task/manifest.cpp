#include "common/task/manifest.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>

#include "common/base/limits.hpp"
#include "common/digest/sha256.hpp"
#include "common/task/names.hpp"

namespace cambrian::task {
namespace {

using spec::v1::TaskManifest;

constexpr int kEvolveMax = 16;
constexpr int kObjectivesMax = 8;
constexpr int kFeaturesMax = 4;
constexpr int kDataMax = 16;
constexpr int kSourcesMax = 64;
constexpr int kOptionsMax = 32;
constexpr int kParametersMax = 64;
constexpr std::size_t kDescriptionBytesMax = 16 * 1024;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

constexpr const char* kIdentifierFix =
    "begin with a letter; then letters, digits, _ . and -; at most 63";

std::string at(const std::string& list, int index) {
  return list + "[" + std::to_string(index) + "]";
}

std::int64_t milliseconds(const google::protobuf::Duration& duration) {
  // A message may carry any number. Nobody means to wait for longer than this, 31 years.
  constexpr std::int64_t kSecondsMax = 1'000'000'000;
  const auto seconds = std::clamp<std::int64_t>(duration.seconds(), -kSecondsMax, kSecondsMax);
  // Rounded up: a duration that is set is never taken for an absent one.
  return seconds * 1000 + (std::int64_t{duration.nanos()} + 999'999) / 1'000'000;
}

/// Set, and to an enumerator of this version: a message may carry any number.
bool is_known(int enumerator, bool (*is_valid)(int)) {
  return enumerator != 0 && is_valid(enumerator);
}

class Checker {
 public:
  explicit Checker(const TaskManifest& manifest) : manifest_(manifest) {}

  std::vector<FieldProblem> run() {
    check_head();
    check_candidate();
    check_judge();
    check_objectives();
    check_features();
    check_data();
    check_limits();
    check_parameters();
    return std::move(problems_);
  }

 private:
  void add(std::string field, std::string message, std::string fix = "") {
    problems_.push_back({std::move(field), std::move(message), std::move(fix)});
  }

  void require(bool is_good, std::string field, std::string message, std::string fix = "") {
    if (!is_good) add(std::move(field), std::move(message), std::move(fix));
  }

  void check_head() {
    require(manifest_.api_version() == "cambrian/v1", "api_version",
            "api_version must be cambrian/v1", "write api_version: cambrian/v1");
    require(manifest_.kind() == "Task", "kind", "kind must be Task", "write kind: Task");
    require(is_resource_name(manifest_.name()), "name", "name is missing or not a valid name",
            "use 1 to 63 lower case letters, digits and dashes");
    require(!manifest_.description().empty(), "description", "description is missing",
            "say in words what the program has to do: it goes into every prompt");
    require(manifest_.description().size() <= kDescriptionBytesMax, "description",
            "description is longer than 16 KiB");
    require(manifest_.language() == "cpp" || manifest_.language() == "python", "language",
            "language is missing or not known", "write cpp or python");
    require(spec::v1::SandboxLevel_IsValid(manifest_.sandbox()), "sandbox", "sandbox is not known",
            "write limits, standard or strict");
  }

  void check_paths(const google::protobuf::RepeatedPtrField<std::string>& paths,
                   const std::string& field, int count_max) {
    require(paths.size() <= count_max, field,
            field + " names more than " + std::to_string(count_max) + " files");
    std::set<std::string> seen;
    for (int i = 0; i < paths.size(); ++i) {
      require(is_inner_path(paths[i]), at(field, i), "not a path inside the task: " + paths[i],
              "write it relative, with plain characters and without .. parts");
      require(seen.insert(paths[i]).second, at(field, i), "named twice: " + paths[i]);
    }
  }

  void check_candidate() {
    const auto& candidate = manifest_.candidate();
    const bool is_process = candidate.runtime() == spec::v1::RUNTIME_PROCESS;
    require(is_known(candidate.runtime(), spec::v1::Runtime_IsValid), "candidate.runtime",
            "candidate.runtime is missing or not known", "write libtorch, cpp or process");
    require(candidate.evolve_size() > 0, "candidate.evolve", "candidate.evolve names no file",
            "name the files below seed/ that a variant may change");
    check_paths(candidate.evolve(), "candidate.evolve", kEvolveMax);
    require(candidate.options_size() <= kOptionsMax, "candidate.options", "too many options");
    for (int i = 0; i < candidate.options_size(); ++i) {
      require(is_accepted_option(candidate.options(i)), at("candidate.options", i),
              "compiler option not accepted: " + candidate.options(i),
              "only -O, -f, -m, -D and -W without plugins and linker options");
    }
    if (is_process) {
      require(candidate.run_size() > 0, "candidate.run", "candidate.run is missing",
              "runtime process needs the command that starts the candidate");
      require(candidate.options_size() == 0, "candidate.options",
              "candidate.options is only for the runtimes cpp and libtorch");
    } else {
      require(candidate.build_size() == 0, "candidate.build",
              "candidate.build is only for the runtime process");
      require(candidate.run_size() == 0, "candidate.run",
              "candidate.run is only for the runtime process");
      require(manifest_.language() != "python", "language",
              "the runtimes cpp and libtorch need the language cpp");
    }
  }

  void check_judge() {
    const auto& judge = manifest_.judge();
    const int ways = (judge.sources_size() > 0 ? 1 : 0) + (judge.run_size() > 0 ? 1 : 0) +
                     (judge.ready().empty() ? 0 : 1);
    require(
        ways == 1, "judge",
        ways == 0 ? "the task has no judge" : "judge has more than one of sources, run and ready",
        "write exactly one of sources, run and ready");
    check_paths(judge.sources(), "judge.sources", kSourcesMax);
    for (int i = 0; i < judge.sources_size(); ++i) {
      require(!judge.sources(i).starts_with("seed/"), at("judge.sources", i),
              "a judge's source lies in seed/, which the candidate sees", "move it to judge/");
    }
    require(judge.ready().empty() || is_identifier(judge.ready()), "judge.ready",
            "not a valid name: " + judge.ready(), kIdentifierFix);
    require(!judge.libtorch() || judge.run_size() == 0, "judge.libtorch",
            "judge.libtorch is only for a judge of sources");
    check_rung_metric();
  }

  void check_rung_metric() {
    const std::string& metric = manifest_.judge().rung_metric();
    if (metric.empty()) return;
    const std::string ranking =
        manifest_.objectives().empty() ? "" : manifest_.objectives(0).metric();
    require(metric == ranking, "judge.rung_metric",
            "judge.rung_metric is not the metric that ranks: " + metric,
            "write " + ranking + ", the first objective's, or leave it out");
    const std::string& ready = manifest_.judge().ready();
    if (ready.empty()) return;
    const std::string measured = ready == "classification" ? "accuracy"
                                 : ready == "regression"   ? "rmse"
                                                           : "";
    require(metric == measured, "judge.rung_metric",
            "the ready judge " + ready + " does not measure it at rungs: " + metric,
            measured.empty() ? "leave it out" : "write " + measured + ", or leave it out");
  }

  void check_objectives() {
    require(manifest_.objectives_size() > 0, "objectives", "the task has no objective",
            "write at least objectives: [{metric: NAME, goal: maximize}]");
    require(manifest_.objectives_size() <= kObjectivesMax, "objectives",
            "more than " + std::to_string(kObjectivesMax) + " objectives");
    std::set<std::string> seen;
    for (int i = 0; i < manifest_.objectives_size(); ++i) {
      const auto& objective = manifest_.objectives(i);
      const std::string field = at("objectives", i);
      check_metric(objective.metric(), field, seen);
      require(is_known(objective.goal(), spec::v1::Goal_IsValid), field + ".goal",
              "the objective has no goal that is known", "write goal: maximize or goal: minimize");
      check_finite(objective.has_minimum(), objective.minimum(), field + ".minimum");
      check_finite(objective.has_maximum(), objective.maximum(), field + ".maximum");
      check_finite(objective.has_target(), objective.target(), field + ".target");
      require(!objective.has_minimum() || !objective.has_maximum() ||
                  objective.minimum() < objective.maximum(),
              field + ".maximum", "maximum is not larger than minimum");
      const bool is_reachable =
          !objective.has_target() ||
          ((!objective.has_minimum() || objective.target() >= objective.minimum()) &&
           (!objective.has_maximum() || objective.target() <= objective.maximum()));
      require(is_reachable, field + ".target", "target lies outside of minimum and maximum");
    }
  }

  void check_metric(const std::string& metric, const std::string& field,
                    std::set<std::string>& seen) {
    require(is_identifier(metric), field + ".metric",
            metric.empty() ? "metric is missing" : "not a valid name: " + metric, kIdentifierFix);
    require(seen.insert(metric).second, field + ".metric", "named twice: " + metric);
  }

  // A file cannot say NaN or an infinity, a message can: no comparison would hold for a NaN.
  void check_finite(bool is_set, double value, std::string field) {
    require(!is_set || std::isfinite(value), std::move(field), "not a finite number");
  }

  void check_features() {
    require(manifest_.features_size() <= kFeaturesMax, "features",
            "more than " + std::to_string(kFeaturesMax) + " features",
            "two are usual: each multiplies the number of cells");
    std::set<std::string> seen;
    for (int i = 0; i < manifest_.features_size(); ++i) {
      const auto& feature = manifest_.features(i);
      const std::string field = at("features", i);
      check_metric(feature.metric(), field, seen);
      require(feature.bins() == 0 || (feature.bins() >= 2 && feature.bins() <= 64), field + ".bins",
              "bins must be 2 to 64");
      require(feature.maximum() > feature.minimum() &&
                  std::isfinite(feature.maximum() - feature.minimum()),
              field + ".maximum", "maximum must be larger than minimum, both finite");
      require(!feature.logarithmic() || feature.minimum() > 0, field + ".minimum",
              "a logarithmic axis needs a minimum above 0");
    }
  }

  void check_data() {
    require(manifest_.data_size() <= kDataMax, "data", "more than 16 data sources");
    std::set<std::string> seen;
    for (int i = 0; i < manifest_.data_size(); ++i) {
      const auto& data = manifest_.data(i);
      const std::string field = at("data", i);
      require(is_identifier(data.name()), field + ".name", "name is missing or not valid",
              kIdentifierFix);
      require(seen.insert(data.name()).second, field + ".name", "named twice: " + data.name());
      require(data.path().starts_with('/') || data.path().starts_with("${"), field + ".path",
              "path is not absolute", "begin it with / or with ${NAME} of the worker's data_paths");
      require(("/" + data.path() + "/").find("/../") == std::string::npos, field + ".path",
              "path has a .. part");
      require(data.sha256().empty() || is_sha256_hex(data.sha256()), field + ".sha256",
              "not a SHA-256", "write 64 lower case hex digits");
    }
  }

  void check_range(std::int64_t value, std::string_view name, std::int64_t low, std::int64_t high,
                   std::string_view shown) {
    require(value == 0 || (value >= low && value <= high), "limits." + std::string(name),
            "limits." + std::string(name) + " is out of range", "use " + std::string(shown));
  }

  void check_limits() {
    const auto& limits = manifest_.limits();
    check_range(milliseconds(limits.compile_time()), "compile_time", 1000, 3'600'000, "1s to 1h");
    check_range(milliseconds(limits.run_time()), "run_time", 1000, 86'400'000, "1s to 24h");
    check_range(limits.memory_bytes(), "memory_bytes", 64 * kMiB, kMiB * kMiB, "64MiB to 1TiB");
    check_range(limits.disk_bytes(), "disk_bytes", kMiB, 1024 * 1024 * kMiB, "1MiB to 1TiB");
    check_range(limits.log_bytes(), "log_bytes", 1024, std::int64_t{kLogBytesMax}, "1KiB to 64KiB");
    check_range(limits.processes(), "processes", 1, 4096, "1 to 4096");
    check_range(limits.source_bytes(), "source_bytes", 256, kMiB, "256B to 1MiB");
    check_range(limits.cpus(), "cpus", 1, 256, "1 to 256");
    check_range(limits.gpus(), "gpus", 1, 16, "0 to 16");
    check_range(limits.gpu_memory_bytes(), "gpu_memory_bytes", 64 * kMiB, kMiB * kMiB,
                "64MiB to 1TiB");
  }

  void check_parameters() {
    require(manifest_.parameters_size() <= kParametersMax, "parameters", "more than 64 parameters");
    for (const auto& [name, value] : manifest_.parameters()) {
      require(is_identifier(name), "parameters." + name, "not a valid name: " + name,
              kIdentifierFix);
      require(std::isfinite(value), "parameters." + name, "not a finite number: " + name);
    }
  }

  const TaskManifest& manifest_;
  std::vector<FieldProblem> problems_;
};

}  // namespace

bool is_accepted_option(const std::string& option) {
  constexpr std::array<std::string_view, 5> kAccepted{"-O", "-f", "-m", "-D", "-W"};
  // They load code into the compiler, write or read files, or reach the assembler and linker.
  constexpr std::array<std::string_view, 12> kRefused{
      "-Wl,",      "-Wp,",       "-Wa,",   "-fplugin", "-fpass-plugin", "-fuse-ld",
      "-fprofile", "-fcoverage", "-fdump", "-fsave",   "-fmodule",      "-mllvm"};
  const auto begins = [&](std::string_view prefix) { return option.starts_with(prefix); };
  return option.size() >= 2 && option.size() <= 100 && std::ranges::any_of(kAccepted, begins) &&
         std::ranges::none_of(kRefused, begins) &&
         std::ranges::all_of(option, [](char c) { return c > ' ' && c < 127; });
}

std::vector<FieldProblem> check_manifest(const TaskManifest& manifest) {
  return Checker(manifest).run();
}

}  // namespace cambrian::task
