#include "worker/adapters/toolchain/compiled_judge.hpp"

#include <algorithm>

#include "common/digest/sha256.hpp"
#include "common/log/log.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

// A judge is trusted to be honest, not to be free of bugs.
constexpr std::int64_t kJudgeMemoryBytes = std::int64_t{16} << 30;
constexpr std::int64_t kJudgeDiskBytes = std::int64_t{1} << 30;
constexpr std::chrono::minutes kJudgeGrace(2);
constexpr std::chrono::minutes kCompileTime(10);
constexpr int kJudgeProcesses = 256;

/// A judge that can be started: the task's folder, what was compiled, and the data.
class JudgeProgram final : public Program {
 public:
  JudgeProgram(CachedFolder task, std::optional<CachedFolder> compiled, std::vector<Mount> data)
      : task_(std::move(task)), compiled_(std::move(compiled)), data_(std::move(data)) {}

  std::vector<Mount> mounts() const {
    std::vector<Mount> mounts = data_;
    mounts.push_back({task_.path(), std::string(kTaskFolder), false});
    if (compiled_) mounts.push_back({compiled_->path(), std::string(kProgramFolder), false});
    return mounts;
  }

 private:
  CachedFolder task_;
  std::optional<CachedFolder> compiled_;
  std::vector<Mount> data_;
};

// What a judge may be compiled from: everything but what variants change and what people read.
std::vector<FileToWrite> judge_files(const Task& task) {
  std::vector<FileToWrite> files = task_files(task);
  const auto& evolve = task.manifest.candidate.evolve;
  std::erase_if(files, [&evolve](const FileToWrite& file) {
    return file.path == "task.yaml" || file.path.ends_with(".md") ||
           (file.path.starts_with("seed/") &&
            std::find(evolve.begin(), evolve.end(), file.path.substr(5)) != evolve.end());
  });
  return files;
}

std::string judge_key(const Task& task, const std::vector<FileToWrite>& files,
                      const std::string& toolchain) {
  KeyDigest key;
  key.add("toolchain", toolchain);
  key.add("libtorch", task.manifest.judge.libtorch ? "1" : "0");
  key.add("ready", task.manifest.judge.ready);
  for (const std::string& source : task.manifest.judge.sources) key.add("source", source);
  for (const FileToWrite& file : files) key.add("file " + file.path, *file.content);
  return "judge-" + key.finish_hex();
}

}  // namespace

SandboxCommand judge_process(const EvaluationRequest& request, int socket) {
  const Limits& limits = request.task->manifest.limits;
  SandboxCommand command;
  command.profile = SandboxProfile::judge;
  command.environment = run_environment(limits.cpus);
  command.wall_time = limits.run_time + kJudgeGrace;
  command.cpu_time =
      std::chrono::duration_cast<std::chrono::seconds>(limits.run_time * limits.cpus + kJudgeGrace);
  command.memory_bytes = kJudgeMemoryBytes;
  command.disk_bytes = kJudgeDiskBytes;
  command.processes = kJudgeProcesses;
  command.confined_to = request.cores;
  command.socket = socket;
  return command;
}

Result<BuildResult> CompiledJudges::build(const EvaluationRequest& request, std::stop_token stop) {
  BuildResult result;
  const Task& task = *request.task;
  CAMBRIAN_TRY(std::vector<Mount> data, data_.mounts(task.manifest.data));
  CAMBRIAN_TRY(CachedFolder folder, task_folder(task));
  std::optional<CachedFolder> compiled;
  if (task.manifest.judge.run.empty()) {
    CAMBRIAN_TRY(compiled, compile(task, result, stop));
  }
  result.program =
      std::make_shared<JudgeProgram>(std::move(folder), std::move(compiled), std::move(data));
  return result;
}

Result<CachedFolder> CompiledJudges::task_folder(const Task& task) {
  const std::string key = "task-" + task.digest;
  if (auto found = toolchain_.cache().find(key)) return std::move(*found);
  CAMBRIAN_TRY(const ScratchFolder scratch, toolchain_.cache().make_scratch());
  CAMBRIAN_TRY(const fs::path folder, Toolchain::write_sources(scratch, task_files(task)));
  return toolchain_.cache().insert(key, folder);
}

Result<CachedFolder> CompiledJudges::compile(const Task& task, BuildResult& result,
                                             std::stop_token stop) {
  const JudgeSpec& judge = task.manifest.judge;
  if (judge.libtorch && !toolchain_.has_libtorch()) {
    return fail(Errc::unavailable, "LibTorch is missing: apt-get install libtorch-dev");
  }
  const std::vector<FileToWrite> files = judge_files(task);
  const std::string key = judge_key(task, files, toolchain_.digest());
  result.is_cached = true;
  if (auto found = toolchain_.cache().find(key)) return std::move(*found);
  CAMBRIAN_TRY(const Descriptor lock, toolchain_.cache().lock(key, stop));
  if (auto found = toolchain_.cache().find(key)) return std::move(*found);
  result.is_cached = false;

  log::info("judge_compile_started", {{"task", task.manifest.name}});
  const auto begun = std::chrono::steady_clock::now();
  CAMBRIAN_TRY(const ScratchFolder scratch, toolchain_.cache().make_scratch());
  CAMBRIAN_TRY(const fs::path sources, Toolchain::write_sources(scratch, files));
  CAMBRIAN_TRY(const fs::path output, Toolchain::make_output(scratch));
  BuildJob job;
  job.command = judge_compile_command(judge, toolchain_.compile_options(judge.libtorch));
  job.working_folder = kTaskFolder;
  job.time = kCompileTime;
  job.mounts = toolchain_.mounts();
  job.mounts.push_back({sources, std::string(kTaskFolder), false});
  job.mounts.push_back({output, std::string(kOutputFolder), true});
  CAMBRIAN_TRY(const BuildRun run, toolchain_.run(job, stop));
  if (!run.is_ok) {
    return fail(Errc::invalid_argument, "the task's judge does not compile: task=" +
                                            task.manifest.name + "\n" + run.diagnostics);
  }
  CAMBRIAN_TRY(CachedFolder folder, toolchain_.cache().insert(key, output));
  log::info("judge_compiled", {{"task", task.manifest.name},
                               {"duration_ms", std::chrono::steady_clock::now() - begun}});
  result.cpu_time = run.cpu_time;
  return folder;
}

Result<std::unique_ptr<SandboxedProcess>> CompiledJudges::start(const EvaluationRequest& request,
                                                                const Program& program,
                                                                int socket) {
  const std::vector<std::string>& run = request.task->manifest.judge.run;
  SandboxCommand command = judge_process(request, socket);
  command.mounts = toolchain_.mounts();
  for (Mount& mount : dynamic_cast<const JudgeProgram&>(program).mounts()) {
    command.mounts.push_back(std::move(mount));
  }
  command.arguments = run;
  if (run.empty()) {
    command.arguments = {std::string(kProgramFolder) + "/" + std::string(kProgramName)};
  }
  command.working_folder = kTaskFolder;
  return toolchain_.sandbox().start(command);
}

}  // namespace cambrian::worker
