#include "worker/adapters/grpc/convert.hpp"

#include <google/protobuf/util/time_util.h>

#include <optional>

#include "common/task/manifest.hpp"

namespace cambrian::worker {
namespace {

using google::protobuf::util::TimeUtil;

template <class Repeated>
std::vector<std::string> strings(const Repeated& values) {
  return {values.begin(), values.end()};
}

Result<Runtime> from_proto(spec::v1::Runtime runtime) {
  switch (runtime) {
    case spec::v1::RUNTIME_LIBTORCH: return Runtime::libtorch;
    case spec::v1::RUNTIME_CPP: return Runtime::cpp;
    case spec::v1::RUNTIME_PROCESS: return Runtime::process;
    default: return fail(Errc::invalid_argument, "unknown runtime: candidate.runtime");
  }
}

SandboxLevel from_proto(spec::v1::SandboxLevel level) {
  switch (level) {
    case spec::v1::SANDBOX_LEVEL_LIMITS: return SandboxLevel::limits;
    case spec::v1::SANDBOX_LEVEL_STRICT: return SandboxLevel::strict;
    default: return SandboxLevel::standard;
  }
}

// Zero means the default, which the domain type has.
template <class T, class U>
void set_if_positive(T& field, U value) {
  if (value > 0) field = static_cast<T>(value);
}

Limits from_proto(const spec::v1::Limits& proto) {
  Limits limits;
  const auto set_time = [](std::chrono::milliseconds& field,
                           const google::protobuf::Duration& value) {
    const auto milliseconds = TimeUtil::DurationToMilliseconds(value);
    if (milliseconds > 0) field = std::chrono::milliseconds(milliseconds);
  };
  set_time(limits.compile_time, proto.compile_time());
  set_time(limits.run_time, proto.run_time());
  set_if_positive(limits.memory_bytes, proto.memory_bytes());
  set_if_positive(limits.disk_bytes, proto.disk_bytes());
  set_if_positive(limits.log_bytes, proto.log_bytes());
  set_if_positive(limits.processes, proto.processes());
  set_if_positive(limits.source_bytes, proto.source_bytes());
  set_if_positive(limits.cpus, proto.cpus());
  set_if_positive(limits.gpus, proto.gpus());
  set_if_positive(limits.gpu_memory_bytes, proto.gpu_memory_bytes());
  return limits;
}

Result<TaskManifest> from_proto(const spec::v1::TaskManifest& proto) {
  if (const auto problems = task::check_manifest(proto); !problems.empty()) {
    return fail(Errc::invalid_argument, "task manifest breaks a rule: field=" + problems[0].field +
                                            " " + problems[0].message);
  }
  TaskManifest manifest;
  manifest.name = proto.name();
  CAMBRIAN_TRY(manifest.candidate.runtime, from_proto(proto.candidate().runtime()));
  manifest.candidate.evolve = strings(proto.candidate().evolve());
  manifest.candidate.build = strings(proto.candidate().build());
  manifest.candidate.run = strings(proto.candidate().run());
  manifest.candidate.options = strings(proto.candidate().options());
  manifest.judge.sources = strings(proto.judge().sources());
  manifest.judge.run = strings(proto.judge().run());
  manifest.judge.ready = proto.judge().ready();
  manifest.judge.libtorch = proto.judge().libtorch();
  for (const auto& objective : proto.objectives()) {
    Objective& added = manifest.objectives.emplace_back();
    added.metric = objective.metric();
    if (objective.has_minimum()) added.minimum = objective.minimum();
    if (objective.has_maximum()) added.maximum = objective.maximum();
  }
  for (const auto& data : proto.data()) {
    manifest.data.push_back({data.name(), data.path(), data.sha256(), data.hint()});
  }
  manifest.limits = from_proto(proto.limits());
  manifest.parameters = {proto.parameters().begin(), proto.parameters().end()};
  manifest.sandbox = from_proto(proto.sandbox());
  return manifest;
}

agent::v1::EvaluationOutcome to_proto(Outcome outcome) {
  switch (outcome) {
    case Outcome::success: return agent::v1::EVALUATION_OUTCOME_SUCCESS;
    case Outcome::compile_error: return agent::v1::EVALUATION_OUTCOME_COMPILE_ERROR;
    case Outcome::crash: return agent::v1::EVALUATION_OUTCOME_CRASH;
    case Outcome::timeout: return agent::v1::EVALUATION_OUTCOME_TIMEOUT;
    case Outcome::out_of_memory: return agent::v1::EVALUATION_OUTCOME_OUT_OF_MEMORY;
    case Outcome::bad_output: return agent::v1::EVALUATION_OUTCOME_BAD_OUTPUT;
    case Outcome::not_finite: return agent::v1::EVALUATION_OUTCOME_NOT_FINITE;
    case Outcome::resource_exceeded: return agent::v1::EVALUATION_OUTCOME_RESOURCE_EXCEEDED;
    case Outcome::infrastructure: return agent::v1::EVALUATION_OUTCOME_INFRASTRUCTURE;
    case Outcome::stopped_early: return agent::v1::EVALUATION_OUTCOME_STOPPED_EARLY;
  }
  return agent::v1::EVALUATION_OUTCOME_INFRASTRUCTURE;
}

google::protobuf::Duration to_proto(Duration duration) {
  return TimeUtil::NanosecondsToDuration(duration.count());
}

agent::v1::Timings to_proto(const Timings& timings) {
  agent::v1::Timings proto;
  if (timings.fetch) *proto.mutable_fetch() = to_proto(*timings.fetch);
  if (timings.compile) *proto.mutable_compile() = to_proto(*timings.compile);
  if (timings.start) *proto.mutable_start() = to_proto(*timings.start);
  if (timings.first_step) *proto.mutable_first_step() = to_proto(*timings.first_step);
  if (timings.train) *proto.mutable_train() = to_proto(*timings.train);
  if (timings.judge) *proto.mutable_judge() = to_proto(*timings.judge);
  if (timings.total) *proto.mutable_total() = to_proto(*timings.total);
  return proto;
}

}  // namespace

Result<std::shared_ptr<const Task>> from_proto(const spec::v1::TaskBundle& bundle,
                                               const std::string& digest,
                                               std::map<std::string, std::string> contents) {
  auto task = std::make_shared<Task>();
  CAMBRIAN_TRY(task->manifest, from_proto(bundle.manifest()));
  task->digest = digest;
  for (const auto& file : bundle.files()) {
    const auto content = contents.find(file.path());
    if (content == contents.end()) {
      return fail(Errc::invalid_argument, "task bundle lacks a file: path=" + file.path());
    }
    task->files.push_back({file.path(), std::move(content->second), file.executable()});
  }
  return task;
}

Result<Split> from_proto(agent::v1::Split split) {
  switch (split) {
    case agent::v1::SPLIT_VALIDATION: return Split::validation;
    case agent::v1::SPLIT_SEALED: return Split::sealed;
    default: return fail(Errc::invalid_argument, "unknown split");
  }
}

spec::v1::SandboxLevel to_proto(SandboxLevel level) {
  switch (level) {
    case SandboxLevel::limits: return spec::v1::SANDBOX_LEVEL_LIMITS;
    case SandboxLevel::standard: return spec::v1::SANDBOX_LEVEL_STANDARD;
    case SandboxLevel::strict: return spec::v1::SANDBOX_LEVEL_STRICT;
  }
  return spec::v1::SANDBOX_LEVEL_LIMITS;
}

agent::v1::EvaluationResult to_proto(const EvaluationResult& result) {
  agent::v1::EvaluationResult proto;
  proto.set_outcome(to_proto(result.outcome));
  if (result.outcome == Outcome::success) {
    proto.mutable_metrics()->insert(result.metrics.begin(), result.metrics.end());
  }
  proto.set_diagnostics(result.diagnostics);
  proto.set_log(result.log);
  *proto.mutable_timings() = to_proto(result.timings);
  *proto.mutable_usage()->mutable_cpu_time() = to_proto(result.usage.cpu_time);
  *proto.mutable_usage()->mutable_gpu_time() = to_proto(result.usage.gpu_time);
  proto.mutable_usage()->set_memory_peak_bytes(result.usage.memory_peak_bytes);
  proto.set_result_key(result.result_key);
  proto.set_behaviour_digest(result.behaviour_digest);
  proto.set_evaluator(std::string(to_string(result.path)));
  proto.set_is_resumed(result.resumption == Resumption::resumed);
  if (result.outcome == Outcome::stopped_early) {
    *proto.mutable_time_saved() = to_proto(result.time_saved);
  }
  return proto;
}

}  // namespace cambrian::worker
