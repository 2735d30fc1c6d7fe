#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/metrics/metrics.hpp"
#include "worker/evaluation/types.hpp"

namespace cambrian::worker {

/// What a worker counts (deploy/metrics.md). Threads: any.
class WorkerMetrics {
 public:
  WorkerMetrics(metrics::Registry& registry, int slots);

  void evaluation_started();
  void evaluation_ended();
  void count(const EvaluationResult& result);
  /// `outcome` is saved or lost; what became of those that evaluations were given, count() knows.
  void count_checkpoint(const std::string& outcome);
  void set_warm_memory(std::int64_t bytes);
  /// A GPU got into trouble, or is well again.
  void count_gpu(bool is_in_trouble);

 private:
  metrics::Gauge busy_;
  metrics::Gauge free_;
  metrics::Gauge warm_memory_;
  metrics::Gauge gpus_in_quarantine_;
  metrics::Counter gpu_quarantines_;
  std::map<std::string, metrics::Counter> outcomes_;
  std::map<std::string, metrics::Counter> kills_;
  std::map<std::string, metrics::Counter> candidate_cache_;
  std::map<std::string, metrics::Counter> judge_cache_;
  std::map<std::string, metrics::Counter> evaluators_;
  std::map<std::string, metrics::Counter> checkpoints_;
  metrics::Histogram duration_;
};

}  // namespace cambrian::worker
