#include "worker/evaluate_command.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <thread>

#include "common/config/value.hpp"
#include "common/log/log.hpp"
#include "common/task/task_folder.hpp"
#include "worker/adapters/grpc/convert.hpp"
#include "worker/adapters/sandbox/gpus.hpp"
#include "worker/judge_secret.hpp"

namespace cambrian::worker {
namespace {

using nlohmann::json;

constexpr std::size_t kSourceReadBytesMax = 4 << 20;
constexpr std::chrono::milliseconds kWarmUpTime = std::chrono::minutes(10);

Result<std::shared_ptr<const Task>> load_task(const std::string& folder) {
  CAMBRIAN_TRY(task::LoadedTask loaded, task::load_task_folder(folder));
  return from_proto(loaded.bundle, loaded.digest, std::move(loaded.contents));
}

Status add_sources(const EvaluateOptions& options, EvaluationRequest& request) {
  const auto& evolve = request.task->manifest.candidate.evolve;
  for (const std::string& source : options.sources) {
    const std::size_t equals = source.find('=');
    const std::string name = equals == std::string::npos ? "" : source.substr(0, equals);
    const bool is_named = std::find(evolve.begin(), evolve.end(), name) != evolve.end();
    if (!is_named && evolve.size() != 1) {
      return fail(
          Errc::invalid_argument,
          "the task has several evolvable files: write --source PATH=FILE: source=" + source);
    }
    const std::string file = is_named ? source.substr(equals + 1) : source;
    CAMBRIAN_TRY(std::string content, config::read_text_file(file, kSourceReadBytesMax));
    request.sources.push_back({is_named ? name : evolve[0], std::move(content)});
  }
  return {};
}

Status add_settings(const EvaluateOptions& options, EvaluationRequest& request) {
  request.parameters = request.task->manifest.parameters;
  for (const std::string& setting : options.settings) {
    const std::size_t equals = setting.find('=');
    const auto value = equals == std::string::npos
                           ? std::nullopt
                           : config::parse_double(std::string_view(setting).substr(equals + 1));
    if (!value) {
      return fail(Errc::invalid_argument, "not NAME=NUMBER: set=" + setting);
    }
    request.parameters[setting.substr(0, equals)] = *value;
  }
  return {};
}

// Those that were named, or the first ones of this machine that the task asks for.
Result<std::vector<std::string>> choose_gpus(int wanted, const std::vector<std::string>& named) {
  std::string selection;
  for (const std::string& id : named) selection += (selection.empty() ? "" : ",") + id;
  if (selection.empty() && wanted == 0) return std::vector<std::string>();
  CAMBRIAN_TRY(std::vector<GpuDevice> found, find_gpus(selection));
  if (found.size() < static_cast<std::size_t>(wanted)) {
    return fail(Errc::unavailable,
                "the task needs more GPUs than this machine has: wanted=" + std::to_string(wanted) +
                    " found=" + std::to_string(found.size()));
  }
  if (selection.empty()) found.resize(static_cast<std::size_t>(wanted));
  std::vector<std::string> ids;
  for (const GpuDevice& gpu : found) ids.push_back(gpu.id);
  return ids;
}

Result<EvaluationRequest> make_request(const EvaluateOptions& options) {
  EvaluationRequest request;
  CAMBRIAN_TRY(request.task, load_task(options.task_folder));
  CAMBRIAN_TRY_STATUS(add_sources(options, request));
  CAMBRIAN_TRY_STATUS(add_settings(options, request));
  request.seed = options.seed;
  request.split = options.split == "sealed" ? Split::sealed : Split::validation;
  CAMBRIAN_TRY(request.gpus, choose_gpus(request.task->manifest.limits.gpus, options.gpus));
  return request;
}

void add_seconds(json& object, const char* name, const std::optional<Duration>& duration) {
  if (duration) object[name] = std::chrono::duration<double>(*duration).count();
}

json to_json(const EvaluationRequest& request, const EvaluationResult& result) {
  json timings = json::object();
  add_seconds(timings, "compile", result.timings.compile);
  add_seconds(timings, "start", result.timings.start);
  add_seconds(timings, "first_step", result.timings.first_step);
  add_seconds(timings, "train", result.timings.train);
  add_seconds(timings, "judge", result.timings.judge);
  add_seconds(timings, "total", result.timings.total);
  json usage = {{"memory_peak_bytes", result.usage.memory_peak_bytes}};
  add_seconds(usage, "cpu_seconds", result.usage.cpu_time);
  add_seconds(usage, "gpu_seconds", result.usage.gpu_time);
  return {{"task", request.task->manifest.name},
          {"outcome", to_string(result.outcome)},
          {"split", to_string(request.split)},
          {"seed", request.seed},
          {"evaluator", to_string(result.path)},
          {"metrics", result.metrics},
          {"diagnostics", result.diagnostics},
          {"timings", std::move(timings)},
          {"usage", std::move(usage)},
          {"log", result.log},
          {"behaviour_digest", result.behaviour_digest},
          {"result_key", result.result_key}};
}

int report(const Error& error) {
  std::cerr << "error: " << error.message << '\n';
  const bool is_callers = error.code == Errc::invalid_argument || error.code == Errc::not_found;
  return is_callers ? kExitInvalid : kExitInfrastructure;
}

/// Turns SIGINT and SIGTERM into a stop. The signals are blocked in every thread, so it must be
/// made before any other thread.
class StopOnSignal {
 public:
  StopOnSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this] {
      int signal = 0;
      sigwait(&signals_, &signal);
      stop_.request_stop();
    });
  }
  ~StopOnSignal() {
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  std::stop_token token() const { return stop_.get_token(); }

 private:
  sigset_t signals_;
  std::stop_source stop_;
  std::thread thread_;
};

/// For people who wait: what is being done, and how long it may take at most.
void show_phase(const EvaluationRequest& request, std::string_view phase) {
  log::debug("phase_started", {{"phase", phase}});
  if (::isatty(STDERR_FILENO) == 0) return;
  const auto& limits = request.task->manifest.limits;
  std::cerr << phase;
  if (phase != "prepare") {
    const auto most = phase == "compile" ? limits.compile_time : limits.run_time;
    std::cerr << " (at most " << most.count() / 1000 << " s)";
  }
  std::cerr << '\n';
}

}  // namespace

int run_evaluate(const EvaluateOptions& options, const Places& places) {
  const StopOnSignal signals;
  auto request = make_request(options);
  if (!request) return report(request.error());
  const auto secret = places.judge_secret.empty() ? read_judge_secret(places.judge_secret_file)
                                                  : places.judge_secret;
  if (!secret) return report(secret.error());
  request->judge_secret = *secret;
  const auto gpu_watch = open_gpu_watch(request->gpus);
  const auto workshop = Workshop::open(places);
  if (!workshop) return report(workshop.error());
  (*workshop)->set_gpu_watch(gpu_watch.get());
  WarmTemplates* warm = (*workshop)->warm_templates();
  for (const auto& kind : {warm_kind(*request), warm_judge_kind(*request)}) {
    // For one evaluation the compiler would be faster: who asks for the warm one means it.
    if (warm != nullptr && kind) warm->wait_ready(*kind, kWarmUpTime, signals.token());
  }
  const auto result = (*workshop)->evaluator().evaluate(
      *request, signals.token(),
      [&request](std::string_view phase, const TrainingProgress& training) {
        if (!training.is_known()) show_phase(*request, phase);
      });
  if (!result) return report(result.error());
  std::cout << to_json(*request, *result).dump(2, ' ', false, json::error_handler_t::replace)
            << '\n';
  return result->outcome == Outcome::infrastructure ? kExitInfrastructure : kExitOutcome;
}

}  // namespace cambrian::worker
