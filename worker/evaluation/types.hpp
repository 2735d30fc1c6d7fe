#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/limits.hpp"
#include "worker/evaluation/checkpoint.hpp"

/// What an evaluation is made of. Values only: nothing here touches files, processes or clocks.
namespace cambrian::worker {

using Duration = std::chrono::nanoseconds;

/// How an evaluation ended. A failing candidate is data; only `infrastructure` says that we failed.
enum class Outcome {
  success,
  compile_error,
  crash,
  timeout,
  out_of_memory,
  bad_output,
  not_finite,
  resource_exceeded,
  infrastructure,
  stopped_early,  ///< Its training was ended because others were better: no fault of anybody.
};

std::string_view to_string(Outcome outcome);

/// How source text becomes a process.
enum class Runtime { libtorch, cpp, process };

std::string_view to_string(Runtime runtime);

/// What turned the source into a program: a compiler, or a warm evaluator. Both give the same
/// metrics.
enum class EvaluatorPath { compile, warm };

std::string_view to_string(EvaluatorPath path);

/// How much isolation is enforced; each level contains the ones before it.
enum class SandboxLevel { limits, standard, strict };

std::string_view to_string(SandboxLevel level);

/// Which data the judge scores on.
enum class Split { validation, sealed };

std::string_view to_string(Split split);

/// A metric that ranks variants, with the range that an honest result can have.
struct Objective {
  std::string metric;
  std::optional<double> minimum;
  std::optional<double> maximum;
};

/// A file or folder that the judge alone may read, at /data/NAME.
struct DataSource {
  std::string name;
  std::string path;    ///< Absolute; a leading ${NAME} comes from the worker's configuration.
  std::string sha256;  ///< Empty: not checked.
  std::string hint;    ///< How to get it, for the error message.
};

/// What one candidate may use. The defaults are those of task.proto.
struct Limits {
  std::chrono::milliseconds compile_time = std::chrono::seconds(120);
  std::chrono::milliseconds run_time = std::chrono::seconds(300);
  std::int64_t memory_bytes = std::int64_t{4} << 30;
  std::int64_t disk_bytes = std::int64_t{256} << 20;
  std::int64_t log_bytes = std::int64_t{cambrian::kLogBytesMax};
  int processes = 64;
  std::int64_t source_bytes = 64 << 10;
  int cpus = 1;
  int gpus = 0;
  std::int64_t gpu_memory_bytes = 0;  ///< On each GPU; 0: all that it has.
};

struct CandidateSpec {
  Runtime runtime = Runtime::cpp;
  std::vector<std::string> evolve;   ///< Paths relative to the seed folder.
  std::vector<std::string> build;    ///< Runtime::process: may be empty.
  std::vector<std::string> run;      ///< Runtime::process.
  std::vector<std::string> options;  ///< Extra compiler options.
};

/// Exactly one of `sources`, `run` and `ready` is set.
struct JudgeSpec {
  std::vector<std::string> sources;  ///< Relative to the task folder.
  std::vector<std::string> run;
  std::string ready;
  bool libtorch = false;
};

struct TaskManifest {
  std::string name;
  CandidateSpec candidate;
  JudgeSpec judge;
  std::vector<Objective> objectives;
  std::vector<DataSource> data;
  Limits limits;
  std::map<std::string, double> parameters;
  SandboxLevel sandbox = SandboxLevel::standard;
};

/// One file of the task folder.
struct TaskFile {
  std::string path;  ///< Relative to the task folder, without . and .. parts.
  std::string content;
  bool executable = false;
};

struct Task {
  TaskManifest manifest;
  std::string digest;  ///< Names the task in caches: equal digests, equal tasks.
  std::vector<TaskFile> files;
};

/// One evolvable file of a variant.
struct SourceFile {
  std::string path;  ///< Relative to the seed folder.
  std::string content;
};

struct EvaluationRequest {
  std::shared_ptr<const Task> task;  ///< Shared by evaluations that run at once.
  std::vector<SourceFile> sources;   ///< Files that are not named are the seed's.
  Split split = Split::validation;
  std::uint64_t seed = 1;
  /// What the judge draws follows from the seed and this; empty: from the seed alone. Not for logs.
  std::string judge_secret;
  std::map<std::string, double> parameters;  ///< The manifest's with all overrides.
  std::vector<std::string> gpus;             ///< Ids, as CUDA_VISIBLE_DEVICES takes them.
  /// Of this machine, for all its processes: the evaluator leases them. Empty: any.
  std::vector<int> cores = {};
  /// What an earlier attempt left. Of another evaluation, it is not used.
  std::optional<Checkpoint> checkpoint;
  /// Shares of the training's budget at which the judge asks how good the model is: ascending.
  std::vector<double> rungs = {};
};

/// What became of the checkpoint that an evaluation was given.
enum class Resumption {
  none,     ///< It was given none.
  resumed,  ///< The training went on from it.
  refused,  ///< It is of another evaluation or toolchain, or the candidate did not take it up: the
            ///< training was begun anew.
};

std::string_view to_string(Resumption resumption);

/// What the judge found when a training reached a rung.
struct RungValue {
  int rung = 0;      ///< Place in EvaluationRequest::rungs.
  double value = 0;  ///< Finite.
};

/// How far a training is, as the judge says.
struct TrainingProgress {
  // For people: nothing is decided by these three.
  std::optional<double> fraction = {};    ///< Share done, 0 to 1.
  std::optional<std::int64_t> step = {};  ///< 0 or more.
  std::optional<double> loss = {};        ///< Finite. The candidate's own word.
  std::vector<RungValue> rungs = {};      ///< All so far.

  bool is_known() const { return fraction || step || loss; }
};

/// Where the time went. Absent where a phase was not reached.
struct Timings {
  std::optional<Duration> fetch;
  std::optional<Duration> compile;
  std::optional<Duration> start;
  std::optional<Duration> first_step;
  std::optional<Duration> train;
  std::optional<Duration> judge;
  std::optional<Duration> total;
};

struct Usage {
  Duration cpu_time{0};
  Duration gpu_time{0};
  std::int64_t memory_peak_bytes = 0;
};

struct EvaluationResult {
  Outcome outcome = Outcome::infrastructure;
  std::map<std::string, double> metrics;
  std::string diagnostics;  ///< At most kDiagnosticsBytesMax.
  std::string log;          ///< Output of the candidate: untrusted. At most kLogBytesMax.
  Timings timings;
  Usage usage;
  std::string result_key;
  std::string behaviour_digest;
  bool is_candidate_cached = false;  ///< The candidate did not have to be built.
  bool is_judge_cached = false;
  EvaluatorPath path = EvaluatorPath::compile;
  Resumption resumption = Resumption::none;
  /// The limit that ended the last candidate process, for the metrics: time, memory, disk,
  /// processes or output. Empty: none.
  Duration time_saved{0};  ///< Of Outcome::stopped_early: what was left of the training.
  /// The limit that ended the last candidate process, for the metrics: time, memory,
  /// gpu_memory, disk, processes or output. Empty: none.
  std::string_view limit_hit;
};

using cambrian::kDiagnosticsBytesMax;
using cambrian::kLogBytesMax;

/// What the kernel counted in the control group of one sandbox: exact, where the supervisor's
/// samples and the signals that a process ended by are not.
struct GroupEvents {
  bool is_memory_exceeded = false;      ///< It ended a process that needed more memory.
  bool are_processes_exceeded = false;  ///< It refused a process or thread.
};

/// How a sandboxed process ended, as its supervisor and the worker saw it.
struct ProcessExit {
  bool was_started = false;  ///< False: the sandbox itself failed; `failure` says why.
  std::string failure;
  /// Not started, because the file that is its program cannot be executed, and the variant may have
  /// made it: as bad as any other program that does nothing.
  bool is_program_unusable = false;
  std::optional<int> exit_code;
  std::optional<int> signal;
  bool was_stopped = false;  ///< Ended by our request.
  bool is_wall_time_exceeded = false;
  bool is_memory_exceeded = false;      ///< All its processes together passed the limit.
  bool is_disk_full = false;            ///< Its writable tmpfs was full.
  bool is_output_exceeded = false;      ///< It wrote more than kOutputBytesMax.
  bool is_left_behind = false;          ///< It did not end although it was told to.
  bool is_gpu_memory_exceeded = false;  ///< It used more memory of a GPU than allowed.
  std::optional<GroupEvents> group;     ///< Nothing where it had no control group of its own.
  int processes_peak = 0;
  Duration cpu_time{0};
  std::int64_t memory_peak_bytes = 0;
};

}  // namespace cambrian::worker
