#include "tests/bench/evaluation/throughput.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/bench/evaluation/process_memory.hpp"

namespace cambrian::bench {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr int kSandboxStarts = 41;
// The kernel walks a gigabyte of pages for each: five a second were 7 % of the time measured.
constexpr std::chrono::milliseconds kSampleInterval(5000);

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

struct Shared {
  std::mutex mutex;
  std::size_t next = 0;
  int succeeded = 0;
  int warm = 0;
  // Of all evaluations together.
  double training_seconds = 0;
  double compile_seconds = 0;
  double start_seconds = 0;
  double judge_seconds = 0;
  double total_seconds = 0;
  std::optional<Error> error;
};

void work(worker::Workshop& workshop, const std::vector<worker::EvaluationRequest>& requests,
          Shared& shared) {
  while (true) {
    std::size_t index = 0;
    {
      const std::lock_guard lock(shared.mutex);
      if (shared.error || shared.next == requests.size()) return;
      index = shared.next++;
    }
    const auto result = workshop.evaluator().evaluate(requests[index], {}, [](auto, auto) {});
    const std::lock_guard lock(shared.mutex);
    if (!result) {
      shared.error = result.error();
      return;
    }
    shared.succeeded += result->outcome == worker::Outcome::success ? 1 : 0;
    shared.warm += result->path == worker::EvaluatorPath::warm ? 1 : 0;
    const worker::Timings& timings = result->timings;
    if (timings.train) shared.training_seconds += seconds(*timings.train);
    if (timings.compile) shared.compile_seconds += seconds(*timings.compile);
    if (timings.start) shared.start_seconds += seconds(*timings.start);
    if (timings.judge) shared.judge_seconds += seconds(*timings.judge);
    if (timings.total) shared.total_seconds += seconds(*timings.total);
  }
}

}  // namespace

double median(std::vector<double> values) {
  std::erase_if(values, [](double value) { return value < 0; });
  if (values.empty()) return -1;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Result<json> measure_throughput(worker::Workshop& workshop,
                                const std::vector<worker::EvaluationRequest>& requests, int slots,
                                std::int64_t idle_bytes) {
  Shared shared;
  std::vector<double> memory;
  const auto begun = Clock::now();
  {
    const std::jthread sampling([&memory](std::stop_token stop) {
      std::mutex mutex;
      std::condition_variable_any stopped;
      std::unique_lock lock(mutex);
      while (!stop.stop_requested()) {
        stopped.wait_for(lock, stop, kSampleInterval, [] { return false; });
        if (!stop.stop_requested()) memory.push_back(static_cast<double>(warm_memory_bytes()));
      }
    });
    std::vector<std::jthread> workers;
    for (int i = 0; i < slots; ++i) workers.emplace_back([&] { work(workshop, requests, shared); });
  }
  const double wall = seconds(Clock::now() - begun);
  if (shared.error) return fail(*shared.error);
  const auto mean = [&](double sum) { return sum / static_cast<double>(requests.size()); };
  return json{
      {"slots", slots},
      {"evaluations", requests.size()},
      {"succeeded", shared.succeeded},
      {"built_warm", shared.warm},
      {"evaluations_per_hour", static_cast<double>(requests.size()) / wall * 3600},
      {"training_share_ratio", shared.training_seconds / (wall * slots)},
      {"wall_seconds", wall},
      {"mean_seconds",
       {{"compile", mean(shared.compile_seconds)},
        {"start", mean(shared.start_seconds)},
        {"train", mean(shared.training_seconds)},
        {"judge", mean(shared.judge_seconds)},
        {"total", mean(shared.total_seconds)}}},
      {"memory_per_slot_bytes",
       memory.empty() ? json() : json((median(memory) - static_cast<double>(idle_bytes)) / slots)}};
}

Result<json> measure_sandbox(worker::Sandbox& sandbox) {
  worker::SandboxCommand command;
  command.arguments = {"/usr/bin/true"};
  std::vector<double> values;
  for (int i = 0; i < kSandboxStarts; ++i) {
    const auto begun = Clock::now();
    CAMBRIAN_TRY(const auto ended, worker::run_to_end(sandbox, command, {}));
    if (ended.first.exit_code != 0) return fail(Errc::internal, "sandbox is broken");
    values.push_back(seconds(Clock::now() - begun));
  }
  return json{{"starts", kSandboxStarts}, {"p50", median(values)}};
}

}  // namespace cambrian::bench
