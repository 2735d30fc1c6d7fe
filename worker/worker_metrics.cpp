#include "worker/worker_metrics.hpp"

namespace cambrian::worker {
namespace {

using metrics::Counter;
using metrics::Labels;
using metrics::Registry;

constexpr const char* kSlots = "cambrian_worker_slots";
constexpr const char* kSlotsHelp = "Slots of this worker.";

// Every series that exists, so that each begins at 0.
std::map<std::string, Counter> counters(Registry& registry, const std::string& name,
                                        const std::string& help, Labels labels,
                                        const std::string& label,
                                        const std::vector<std::string>& values) {
  std::map<std::string, Counter> made;
  for (const std::string& value : values) {
    labels[label] = value;
    made.emplace(value, registry.counter(name, help, labels));
  }
  return made;
}

std::map<std::string, Counter> cache_counters(Registry& registry, const std::string& cache) {
  return counters(registry, "cambrian_worker_cache_requests_total",
                  "Look-ups in the worker's caches.", {{"cache", cache}}, "outcome",
                  {"hit", "miss"});
}

std::vector<std::string> outcome_names() {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(Outcome::stopped_early); ++i) {
    names.emplace_back(to_string(static_cast<Outcome>(i)));
  }
  return names;
}

}  // namespace

WorkerMetrics::WorkerMetrics(Registry& registry, int slots)
    : busy_(registry.gauge(kSlots, kSlotsHelp, {{"state", "busy"}})),
      free_(registry.gauge(kSlots, kSlotsHelp, {{"state", "free"}})),
      warm_memory_(registry.gauge("cambrian_worker_warm_memory_bytes",
                                  "Memory of the warm evaluators, which their forks share.")),
      gpus_in_quarantine_(
          registry.gauge("cambrian_worker_gpus_quarantined", "GPUs that take no candidate now.")),
      gpu_quarantines_(registry.counter("cambrian_worker_gpu_quarantines_total",
                                        "GPUs found in trouble, each time.")),
      outcomes_(counters(registry, "cambrian_worker_evaluations_total",
                         "Evaluations that ended here, counted or not.", {}, "outcome",
                         outcome_names())),
      kills_(counters(registry, "cambrian_worker_sandbox_kills_total",
                      "Candidates ended by a limit.", {}, "reason",
                      {"time", "memory", "gpu_memory", "disk", "processes", "output"})),
      candidate_cache_(cache_counters(registry, "candidate")),
      judge_cache_(cache_counters(registry, "judge")),
      evaluators_(counters(registry, "cambrian_worker_evaluators_total",
                           "Evaluations by what made a program of the source.", {}, "evaluator",
                           {"compile", "warm"})),
      checkpoints_(counters(registry, "cambrian_worker_checkpoints_total",
                            "Checkpoints of interrupted trainings, by what became of them.", {},
                            "outcome", {"saved", "lost", "resumed", "refused"})),
      duration_(registry.histogram("cambrian_worker_evaluation_duration_seconds",
                                   "Whole evaluation, with fetching.",
                                   metrics::duration_buckets())) {
  registry.gauge("cambrian_worker_build_info", "1", {{"version", CAMBRIAN_VERSION}}).set(1);
  busy_.set(0);
  free_.set(slots);
}

void WorkerMetrics::evaluation_started() {
  busy_.add(1);
  free_.add(-1);
}

void WorkerMetrics::evaluation_ended() {
  busy_.add(-1);
  free_.add(1);
}

void WorkerMetrics::set_warm_memory(std::int64_t bytes) {
  warm_memory_.set(static_cast<double>(bytes));
}

void WorkerMetrics::count_checkpoint(const std::string& outcome) { checkpoints_.at(outcome).add(); }

void WorkerMetrics::count_gpu(bool is_in_trouble) {
  gpus_in_quarantine_.add(is_in_trouble ? 1 : -1);
  if (is_in_trouble) gpu_quarantines_.add();
}

void WorkerMetrics::count(const EvaluationResult& result) {
  outcomes_.at(std::string(to_string(result.outcome))).add();
  candidate_cache_.at(result.is_candidate_cached ? "hit" : "miss").add();
  judge_cache_.at(result.is_judge_cached ? "hit" : "miss").add();
  evaluators_.at(std::string(to_string(result.path))).add();
  if (result.resumption != Resumption::none) {
    count_checkpoint(std::string(to_string(result.resumption)));
  }
  if (!result.limit_hit.empty()) kills_.at(std::string(result.limit_hit)).add();
  const Duration fetch = result.timings.fetch.value_or(Duration{0});
  const Duration total = result.timings.total.value_or(Duration{0});
  duration_.observe(std::chrono::duration<double>(fetch + total).count());
}

}  // namespace cambrian::worker
