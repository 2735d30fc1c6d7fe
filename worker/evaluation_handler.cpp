#include "worker/evaluation_handler.hpp"

#include <chrono>
#include <condition_variable>

#include "common/digest/sha256.hpp"
#include "common/log/log.hpp"
#include "worker/adapters/grpc/convert.hpp"

namespace cambrian::worker {
namespace {

using agent::AttemptOutcome;

// Tasks kept in memory: campaigns that a worker serves at once.
constexpr std::size_t kTasksMax = 8;
// A worker that cannot do an item gives others the time to take it before it asks again.
constexpr std::chrono::seconds kUnablePause(5);
// With the time in which a training is saved, less than an agent gives its handlers to return.
constexpr std::chrono::seconds kUploadTime(4);

void pause(std::chrono::seconds duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, duration, [] { return false; });
}

// What an error means for the lease: another worker may do better, or the task itself is broken
// and whoever started the campaign must read why.
AttemptOutcome to_outcome(const Error& error, const agent::v1::Lease& lease, std::stop_token stop) {
  if (stop.stop_requested() || error.code == Errc::cancelled) {
    return agent::v1::RELEASE_REASON_SHUTDOWN;
  }
  log::error(
      "evaluation_failed",
      {{"item", lease.item_id()}, {"code", to_string(error.code)}, {"cause", error.message}});
  if (error.code == Errc::exhausted) {
    pause(kUnablePause, stop);
    return agent::v1::RELEASE_REASON_UNABLE;
  }
  agent::v1::EvaluationResult result;
  result.set_outcome(agent::v1::EVALUATION_OUTCOME_INFRASTRUCTURE);
  result.set_diagnostics(shorten(sanitise(error.message), kDiagnosticsBytesMax));
  return result;
}

// Without the lease, which is the attempt's.
agent::v1::Progress progress_of(std::string_view phase, const TrainingProgress& training) {
  agent::v1::Progress progress;
  progress.set_phase(std::string(phase));
  if (training.fraction) progress.set_fraction(*training.fraction);
  if (training.step) progress.set_step(*training.step);
  if (training.loss) progress.set_loss(*training.loss);
  for (const RungValue& one : training.rungs) {
    (*progress.mutable_rungs())[one.rung] = one.value;
  }
  return progress;
}

}  // namespace

AttemptOutcome EvaluationHandler::handle(agent::Attempt& attempt) {
  metrics_.evaluation_started();
  Handover handover{.is_wanted = [&attempt] { return attempt.is_handed_on(); }};
  const auto result = evaluate(attempt, handover);
  metrics_.evaluation_ended();
  const auto& lease = attempt.assignment().lease();
  if (!result && handover.saved) return hand_on(lease, *handover.saved);
  if (!result) return to_outcome(result.error(), lease, attempt.stop_token());
  metrics_.count(*result);
  log::info("evaluation_finished", {{"item", lease.item_id()},
                                    {"outcome", to_string(result->outcome)},
                                    {"duration_ms", result->timings.total.value_or(Duration{0})},
                                    {"evaluator", to_string(result->path)},
                                    {"resumption", to_string(result->resumption)},
                                    {"is_built_before", result->is_candidate_cached}});
  return to_proto(*result);
}

agent::Released EvaluationHandler::hand_on(const agent::v1::Lease& lease,
                                           const Checkpoint& checkpoint) {
  const std::string content = to_content(checkpoint);
  auto digest = blobs_.upload_checkpoint(content, kUploadTime);
  metrics_.count_checkpoint(digest ? "saved" : "lost");
  if (!digest) {
    log::warn(
        "checkpoint_lost",
        {{"item", lease.item_id()}, {"bytes", content.size()}, {"cause", digest.error().message}});
    return agent::v1::RELEASE_REASON_SHUTDOWN;
  }
  log::info("checkpoint_saved",
            {{"item", lease.item_id()}, {"bytes", content.size()}, {"sha256", *digest}});
  return {agent::v1::RELEASE_REASON_SHUTDOWN, std::move(*digest)};
}

Result<EvaluationResult> EvaluationHandler::evaluate(agent::Attempt& attempt, Handover& handover) {
  const auto stop = attempt.stop_token();
  attempt.set_progress("fetch");
  const auto begun = std::chrono::steady_clock::now();
  CAMBRIAN_TRY(EvaluationRequest request, fetch(attempt.assignment().evaluation(), stop));
  const Duration fetched = std::chrono::steady_clock::now() - begun;
  const int gpus = request.task->manifest.limits.gpus;
  const auto loan = gpus_.borrow(gpus, stop);
  if (!loan) {
    return fail(stop.stop_requested() ? Errc::cancelled : Errc::exhausted,
                "not enough GPUs: wanted=" + std::to_string(gpus));
  }
  request.gpus = loan->ids();
  CAMBRIAN_TRY(EvaluationResult result,
               evaluator_.evaluate(
                   std::move(request), stop,
                   [&](std::string_view phase, const TrainingProgress& training) {
                     attempt.set_progress(progress_of(phase, training));
                   },
                   &handover, attempt.early_stop_token()));
  result.timings.fetch = fetched;
  return result;
}

Result<EvaluationRequest> EvaluationHandler::fetch(const agent::v1::EvaluationWork& work,
                                                   std::stop_token stop) {
  EvaluationRequest request;
  CAMBRIAN_TRY(request.task, fetch_task(work.task_digest(), stop));
  CAMBRIAN_TRY(request.split, from_proto(work.split()));
  request.seed = work.seed();
  request.judge_secret = work.judge_secret();
  request.rungs = {work.rungs().begin(), work.rungs().end()};
  request.parameters = {work.parameters().begin(), work.parameters().end()};
  for (const auto& file : work.files()) {
    CAMBRIAN_TRY(std::string content, blobs_.download(file.sha256(), stop));
    request.sources.push_back({file.path(), std::move(content)});
  }
  if (!work.checkpoint().empty()) request.checkpoint = fetch_checkpoint(work.checkpoint(), stop);
  return request;
}

// Without it, the training begins anew: nothing is wrong but the time that it takes.
std::optional<Checkpoint> EvaluationHandler::fetch_checkpoint(const std::string& digest,
                                                              std::stop_token stop) {
  const auto content = blobs_.download(digest, stop);
  auto checkpoint = content ? read_checkpoint(*content) : std::nullopt;
  if (!checkpoint) {
    metrics_.count_checkpoint("lost");
    log::warn("checkpoint_lost",
              {{"sha256", digest},
               {"cause", content ? "the content is no checkpoint" : content.error().message}});
  }
  return checkpoint;
}

Result<std::shared_ptr<const Task>> EvaluationHandler::fetch_task(const std::string& digest,
                                                                  std::stop_token stop) {
  {
    const std::lock_guard lock(mutex_);
    for (auto it = tasks_.begin(); it != tasks_.end(); ++it) {
      if ((*it)->digest != digest) continue;
      tasks_.splice(tasks_.begin(), tasks_, it);
      return tasks_.front();
    }
  }
  CAMBRIAN_TRY(const std::string text, blobs_.download(digest, stop));
  spec::v1::TaskBundle bundle;
  if (!bundle.ParseFromString(text)) {
    return fail(Errc::invalid_argument, "task bundle is not readable: digest=" + digest);
  }
  std::map<std::string, std::string> contents;
  for (const auto& file : bundle.files()) {
    CAMBRIAN_TRY(contents[file.path()], blobs_.download(file.sha256(), stop));
  }
  CAMBRIAN_TRY(std::shared_ptr<const Task> task, from_proto(bundle, digest, std::move(contents)));
  const std::lock_guard lock(mutex_);
  tasks_.push_front(task);
  if (tasks_.size() > kTasksMax) tasks_.pop_back();
  return task;
}

}  // namespace cambrian::worker
