#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/agent/agent.hpp"
#include "common/blob/blob_client.hpp"
#include "worker/app/evaluator.hpp"
#include "worker/gpu_pool.hpp"
#include "worker/worker_metrics.hpp"

namespace cambrian::worker {

/// Does the work of a lease: fetches task and sources, evaluates, and says what came of it.
/// Threads: any, several at once.
class EvaluationHandler {
 public:
  /// All must outlive the handler.
  EvaluationHandler(BlobClient& blobs, Evaluator& evaluator, GpuPool& gpus, WorkerMetrics& metrics)
      : blobs_(blobs), evaluator_(evaluator), gpus_(gpus), metrics_(metrics) {}

  agent::AttemptOutcome handle(agent::Attempt& attempt);

 private:
  Result<EvaluationResult> evaluate(agent::Attempt& attempt, Handover& handover);
  agent::Released hand_on(const agent::v1::Lease& lease, const Checkpoint& checkpoint);
  Result<EvaluationRequest> fetch(const agent::v1::EvaluationWork& work, std::stop_token stop);
  std::optional<Checkpoint> fetch_checkpoint(const std::string& digest, std::stop_token stop);
  Result<std::shared_ptr<const Task>> fetch_task(const std::string& digest, std::stop_token stop);

  BlobClient& blobs_;
  Evaluator& evaluator_;
  GpuPool& gpus_;
  WorkerMetrics& metrics_;
  std::mutex mutex_;                              // Guards tasks_.
  std::list<std::shared_ptr<const Task>> tasks_;  // The last used one first.
};

}  // namespace cambrian::worker
