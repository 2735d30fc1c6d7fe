#include "worker/adapters/toolchain/compiled_candidate.hpp"

#include <algorithm>

#include "common/digest/sha256.hpp"
#include "worker/adapters/toolchain/fixed_objects.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

// Processor time beyond the wall time of all cores: start-up, and what the clocks disagree on.
constexpr std::chrono::seconds kCpuGrace(10);

}  // namespace

std::string build_key(const BuildSetting& setting, const EvaluationRequest& request,
                      const std::vector<FileToWrite>& files) {
  const CandidateSpec& candidate = request.task->manifest.candidate;
  KeyDigest key;
  key.add("toolchain", setting.toolchain);
  for (const fs::path& path : setting.hidden) key.add("hidden", path.string());
  key.add("runtime", to_string(candidate.runtime));
  for (const FileToWrite& file : files) {
    key.add(file.is_executable ? "program " + file.path : "file " + file.path, *file.content);
  }
  for (const std::string& option : candidate.options) key.add("option", option);
  for (const std::string& argument : candidate.build) key.add("build", argument);
  return std::string(setting.kind) + "-" + key.finish_hex();
}

std::optional<std::string> too_large(const EvaluationRequest& request) {
  for (const SourceFile& source : request.sources) {
    const auto size = static_cast<std::int64_t>(source.content.size());
    if (size > request.task->manifest.limits.source_bytes) {
      return "source file is larger than the task allows: file=" + source.path +
             " bytes=" + std::to_string(size) +
             " bytes_max=" + std::to_string(request.task->manifest.limits.source_bytes);
    }
  }
  return std::nullopt;
}

std::vector<std::string> compiled_sources(const std::vector<FileToWrite>& files) {
  std::vector<std::string> sources;
  for (const FileToWrite& file : files) {
    if (file.path.ends_with(".cpp")) sources.push_back(file.path);
  }
  return sources;
}

SandboxCommand candidate_process(const EvaluationRequest& request, int socket) {
  const Limits& limits = request.task->manifest.limits;
  SandboxCommand command;
  command.profile = SandboxProfile::candidate;
  command.environment = run_environment(limits.cpus);
  command.wall_time = limits.run_time + std::chrono::seconds(10);
  command.cpu_time =
      std::chrono::duration_cast<std::chrono::seconds>(limits.run_time * limits.cpus) + kCpuGrace;
  command.memory_bytes = limits.memory_bytes;
  command.disk_bytes = limits.disk_bytes;
  command.log_bytes = limits.log_bytes;
  command.processes = limits.processes;
  command.cores = limits.cpus;
  command.confined_to = request.cores;
  command.socket = socket;
  command.gpus = request.gpus;
  command.gpu_memory_bytes = limits.gpu_memory_bytes;
  return command;
}

Result<BuildResult> CompiledCandidates::build(const EvaluationRequest& request,
                                              std::stop_token stop) {
  const CandidateSpec& candidate = request.task->manifest.candidate;
  BuildResult result;
  const SandboxLevel level = toolchain_.sandbox().level();
  if (request.task->manifest.sandbox > level) {
    return fail(Errc::unavailable, "the task wants more isolation than this worker has: wanted=" +
                                       std::string(to_string(request.task->manifest.sandbox)) +
                                       " level=" + std::string(to_string(level)));
  }
  if (const auto reason = too_large(request)) {
    result.diagnostics = *reason;
    return result;
  }
  if (candidate.runtime == Runtime::libtorch && !toolchain_.has_libtorch()) {
    return fail(Errc::unavailable, "LibTorch is missing: apt-get install libtorch-dev");
  }
  CAMBRIAN_TRY(const auto files, candidate_files(request));
  CAMBRIAN_TRY(const auto hidden, data_.hidden(request.task->manifest.data));
  const std::string key = build_key({"candidate", toolchain_.digest(), hidden}, request, files);
  if (auto found = toolchain_.cache().find(key)) {
    result.program = std::make_shared<BuiltProgram>(std::move(*found));
    result.is_cached = true;
    return result;
  }
  CAMBRIAN_TRY(const ScratchFolder scratch, toolchain_.cache().make_scratch());
  CAMBRIAN_TRY(const fs::path sources, Toolchain::write_sources(scratch, files));
  BuildRun run;
  fs::path output = sources;
  if (candidate.runtime == Runtime::process) {
    run.is_ok = true;
    if (!candidate.build.empty()) {
      CAMBRIAN_TRY(run, run_build_command(request, output, stop));
    }
  } else {
    CAMBRIAN_TRY(output, Toolchain::make_output(scratch));
    CAMBRIAN_TRY(run, compile(request, sources, output, stop));
  }
  result.cpu_time = run.cpu_time;
  if (!run.is_ok) {
    result.failure = run.failure;
    result.diagnostics = std::move(run.diagnostics);
    return result;
  }
  CAMBRIAN_TRY(CachedFolder folder, toolchain_.cache().insert(key, output));
  result.program = std::make_shared<BuiltProgram>(std::move(folder));
  return result;
}

Result<BuildRun> CompiledCandidates::compile(const EvaluationRequest& request,
                                             const fs::path& sources, const fs::path& output,
                                             std::stop_token stop) {
  const TaskManifest& manifest = request.task->manifest;
  const bool libtorch = manifest.candidate.runtime == Runtime::libtorch;
  CompileOptions options = toolchain_.compile_options(libtorch);
  options.extra = manifest.candidate.options;
  BuildJob job;
  job.time = manifest.limits.compile_time;
  job.cores = request.cores;
  job.working_folder = kSourceFolder;
  job.mounts = toolchain_.mounts();
  CAMBRIAN_TRY(const CachedFolder header, toolchain_.precompiled_header(options, stop));
  job.mounts.push_back({header.path(), std::string(kPchFolder), false});
  options.use_pch = true;
  CAMBRIAN_TRY(job.hidden, data_.hidden(manifest.data));
  CAMBRIAN_TRY(const auto files, candidate_files(request));
  CAMBRIAN_TRY(const CompileInputs fixed,
               compile_fixed(toolchain_, request, files, options, job, stop));
  if (fixed.objects) {
    job.mounts.push_back({fixed.objects->path(), std::string(kFixedFolder), false});
  }
  job.mounts.push_back({sources, std::string(kSourceFolder), false});
  job.mounts.push_back({output, std::string(kOutputFolder), true});
  job.command = candidate_compile_command(fixed.inputs, options);
  CAMBRIAN_TRY(BuildRun run, toolchain_.run(job, stop));
  if (!run.is_ok) return run;
  if (const auto size = built_file_size(output, std::string(kProgramName)); !size) {
    run.is_ok = false;
    run.diagnostics = size.error().message;
  }
  return run;
}

Result<BuildRun> CompiledCandidates::run_build_command(const EvaluationRequest& request,
                                                       const fs::path& output,
                                                       std::stop_token stop) {
  const TaskManifest& manifest = request.task->manifest;
  BuildJob job;
  job.command = manifest.candidate.build;
  job.time = manifest.limits.compile_time;
  job.cores = request.cores;
  job.working_folder = kOutputFolder;
  job.output_bytes = manifest.limits.disk_bytes;
  job.mounts = toolchain_.mounts();
  job.mounts.push_back({output, std::string(kOutputFolder), true});
  CAMBRIAN_TRY(job.hidden, data_.hidden(manifest.data));
  return toolchain_.run(job, stop);
}

Result<std::unique_ptr<SandboxedProcess>> CompiledCandidates::start(
    const EvaluationRequest& request, const Program& program, int socket) {
  const TaskManifest& manifest = request.task->manifest;
  SandboxCommand command = candidate_process(request, socket);
  command.mounts = toolchain_.mounts();
  command.mounts.push_back(
      {dynamic_cast<const BuiltProgram&>(program).folder(), std::string(kProgramFolder), false});
  CAMBRIAN_TRY(command.hidden, data_.hidden(manifest.data));
  if (manifest.candidate.runtime == Runtime::process) {
    command.arguments = manifest.candidate.run;
    command.working_folder = kProgramFolder;
  } else {
    command.arguments = {std::string(kProgramFolder) + "/" + std::string(kProgramName)};
  }
  return toolchain_.sandbox().start(command);
}

}  // namespace cambrian::worker
