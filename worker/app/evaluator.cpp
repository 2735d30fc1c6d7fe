#include "worker/app/evaluator.hpp"

#include <chrono>
#include <format>
#include <utility>

#include "common/digest/sha256.hpp"
#include "worker/app/judge_session.hpp"

namespace cambrian::worker {
namespace {

using Clock = std::chrono::steady_clock;

Duration since(Clock::time_point start) {
  return std::chrono::duration_cast<Duration>(Clock::now() - start);
}

}  // namespace

std::string result_key(const EvaluationRequest& request, const std::string& toolchain_digest) {
  // The task's digest covers its judge and its limits.
  KeyDigest key;
  key.add("version", "1");
  key.add("task", request.task->digest);
  key.add("toolchain", toolchain_digest);
  for (const SourceFile& source : request.sources) key.add("source " + source.path, source.content);
  for (const auto& [name, value] : request.parameters) {
    key.add("parameter " + name, std::format("{}", value));
  }
  key.add("split", to_string(request.split));
  key.add("seed", std::to_string(request.seed));
  key.add("judge_secret", request.judge_secret);
  key.add("gpus", std::to_string(request.gpus.size()));
  return key.finish_hex();
}

Result<EvaluationResult> Evaluator::evaluate(EvaluationRequest request, std::stop_token stop,
                                             const ReportProgress& report, Handover* handover,
                                             std::stop_token stop_early) {
  const auto begun = Clock::now();
  EvaluationResult result;
  result.result_key = result_key(request, candidates_.toolchain_digest());
  // What belongs to anything else gets into no process: not even by our own mistake.
  const bool is_refused = request.checkpoint && request.checkpoint->result_key != result.result_key;
  if (is_refused) request.checkpoint.reset();
  // Judge and candidate, which wait for each other, wake up faster on one core than across two.
  const auto cores = sandbox_.lease_cores(request.task->manifest.limits.cpus);
  request.cores = *cores;
  SessionPrograms programs;
  // The judge first: a task that is broken or lacks its data costs no compile.
  report("prepare", {});
  CAMBRIAN_TRY(BuildResult judge, judges_.build(request, stop));
  programs.judge = std::move(judge.program);
  result.is_judge_cached = judge.is_cached;

  report("compile", {});
  const auto source_ready = Clock::now();
  CAMBRIAN_TRY(BuildResult built, candidates_.build(request, stop));
  result.timings.compile = since(source_ready);
  result.is_candidate_cached = built.is_cached;
  result.path = built.path;
  if (!built.program) {
    result.outcome = built.failure;
    result.diagnostics = std::move(built.diagnostics);
  } else {
    programs.candidate = std::move(built.program);
    JudgeSession session(candidates_, request, programs, report, handover);
    session.end_training_on(std::move(stop_early));
    CAMBRIAN_TRY_STATUS(session.run(judges_, links_, stop, source_ready, result));
  }
  if (is_refused) result.resumption = Resumption::refused;
  result.usage.cpu_time += judge.cpu_time + built.cpu_time;
  result.usage.gpu_time = since(begun) * static_cast<int>(request.gpus.size());
  result.timings.total = since(begun);
  return result;
}

}  // namespace cambrian::worker
