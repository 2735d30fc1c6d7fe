#include "worker/adapters/toolchain/warm_candidate.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "worker/adapters/toolchain/warm_fork.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kObjectName = "program.so";

/// A shared object of the cache as a program, and the library that it is loaded on top of: to make
/// that takes long, and cannot be cancelled where a process is started.
class WarmProgram final : public Program {
 public:
  WarmProgram(CachedFolder folder, CachedFolder library)
      : folder_(std::move(folder)), library_(std::move(library)) {}
  const fs::path& folder() const { return folder_.path(); }
  const fs::path& library() const { return library_.path(); }

 private:
  CachedFolder folder_;
  CachedFolder library_;
};

/// Python files, and the same as the plain way built them.
class PythonProgram final : public Program {
 public:
  PythonProgram(WarmKind kind, std::shared_ptr<const Program> plain)
      : kind_(kind), plain_(std::move(plain)) {}
  WarmKind kind() const { return kind_; }
  const Program& plain() const { return *plain_; }

 private:
  WarmKind kind_;
  std::shared_ptr<const Program> plain_;  // Shared with nobody; that is how programs are made.
};

// Where a candidate's process finds it.
std::string program_path() { return std::string(kProgramFolder) + "/" + std::string(kObjectName); }

// In a file of the seed, or in the variant's own.
bool mentions_torch(const EvaluationRequest& request) {
  const auto& files = request.task->files;
  const auto& sources = request.sources;
  const auto mentions = [](const auto& file) {
    return file.path.ends_with(".py") && file.content.find("torch") != std::string::npos;
  };
  return std::any_of(sources.begin(), sources.end(), mentions) ||
         std::any_of(files.begin(), files.end(), [&](const TaskFile& file) {
           return file.path.starts_with("seed/") && mentions(file);
         });
}

// `python3 FILE.py ...`, and nothing that the host does not do.
bool is_plain_python(const EvaluationRequest& request) {
  const CandidateSpec& candidate = request.task->manifest.candidate;
  const auto& files = request.task->files;
  return candidate.build.empty() && is_python_script(candidate.run) && request.gpus.empty() &&
         std::none_of(files.begin(), files.end(), [](const TaskFile& file) {
           return file.executable && file.path.starts_with("seed/");
         });
}

/// What one compile gets.
struct WarmInputs {
  std::vector<ArchivedFile> files;
  std::vector<std::string> objects;  ///< Contents of files that were compiled before.
  std::vector<std::string> names;    ///< Sources and objects, in the order of a plain compile.
};

SandboxCommand compile_command(const EvaluationRequest& request) {
  SandboxCommand command;
  command.profile = SandboxProfile::compile;
  command.wall_time = request.task->manifest.limits.compile_time;
  command.cpu_time = std::chrono::duration_cast<std::chrono::seconds>(2 * command.wall_time);
  // As for a plain compile, whose memory does not hold the headers already.
  command.memory_bytes = kCompileMemoryBytes;
  command.disk_bytes = kCompileDiskBytes;
  command.log_bytes = kCompileLogBytes;
  command.processes = kCompileProcesses;
  command.confined_to = request.cores;
  return command;
}

WarmInputs warm_inputs(const std::vector<FileToWrite>& files, const CompileInputs& fixed) {
  WarmInputs inputs;
  inputs.files = archived(files);
  inputs.names = fixed.inputs;
  inputs.objects.reserve(inputs.names.size());
  for (std::string& name : inputs.names) {
    if (!fixed.objects || !name.starts_with(kFixedFolder)) continue;
    const std::string file = fs::path(name).filename();
    name = std::string(kFixedObjectFolder) + "/" + file;
    inputs.objects.push_back(read_file(fixed.objects->path() / file));
    inputs.files.push_back({name, inputs.objects.back()});
  }
  return inputs;
}

Result<ProcessExit> wait_for(SandboxedProcess& process, std::stop_token stop) {
  const std::stop_callback stop_process(stop, [&process] { process.stop(); });
  while (true) {
    const auto exit = process.wait(std::chrono::seconds(10));
    if (!exit) continue;
    if (stop.stop_requested()) return fail(Errc::cancelled, "evaluation was cancelled");
    return *exit;
  }
}

// The plain compiler is asked again: by what it says, a warm evaluator that is wrong harms nobody.
bool is_for_compiler(const ProcessExit& exit) {
  if (exit.exit_code) return *exit.exit_code == kCompileUnsupported;
  const bool is_limit = exit.is_wall_time_exceeded || exit.is_memory_exceeded ||
                        exit.is_output_exceeded || exit.is_disk_full || exit.signal == SIGXCPU ||
                        exit.signal == SIGXFSZ;
  return !is_limit;
}

// What was built, from a folder that untrusted code has not seen. Nothing where it is too large.
Result<std::optional<std::string>> read_object(const fs::path& folder) {
  const fs::path path = folder / kObjectName;
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info{};
  if (!file || fstat(file.get(), &info) != 0) {
    return fail(Errc::unavailable, "program is gone: path=" + path.string());
  }
  if (static_cast<std::size_t>(info.st_size) > kArchiveBytesMax / 2) return std::nullopt;
  std::string content(static_cast<std::size_t>(info.st_size), '\0');
  if (pread(file.get(), content.data(), content.size(), 0) != info.st_size) {
    return fail(Errc::unavailable, "program is not readable: path=" + path.string());
  }
  return std::optional(std::move(content));
}

}  // namespace

std::optional<WarmKind> warm_kind(const EvaluationRequest& request) {
  const TaskManifest& manifest = request.task->manifest;
  if (!manifest.candidate.options.empty() || manifest.limits.cpus != 1) return std::nullopt;
  switch (manifest.candidate.runtime) {
    case Runtime::libtorch: return WarmKind::libtorch;
    case Runtime::cpp: return WarmKind::cpp;
    case Runtime::process: break;
  }
  if (!is_plain_python(request)) return std::nullopt;
  return mentions_torch(request) ? WarmKind::python_torch : WarmKind::python;
}

Result<BuildResult> WarmCandidates::build(const EvaluationRequest& request, std::stop_token stop) {
  const auto kind = warm_kind(request);
  if (!kind) return plain_.build(request, stop);
  if (*kind == WarmKind::libtorch || *kind == WarmKind::cpp) {
    CAMBRIAN_TRY(auto built, build_warm(request, *kind, stop));
    return built ? std::move(*built) : plain_.build(request, stop);
  }
  const bool is_ready = templates_.find(*kind) != nullptr;
  CAMBRIAN_TRY(BuildResult built, plain_.build(request, stop));
  if (built.program && is_ready) {
    built.path = EvaluatorPath::warm;
    built.program = std::make_shared<PythonProgram>(*kind, std::move(built.program));
  }
  return built;
}

Result<std::optional<BuildResult>> WarmCandidates::build_warm(const EvaluationRequest& request,
                                                              WarmKind kind, std::stop_token stop) {
  // What is wrong with a request is said by the plain compiler.
  if (request.task->manifest.sandbox > toolchain_.sandbox().level() || too_large(request)) {
    return std::nullopt;
  }
  CAMBRIAN_TRY(const auto files, candidate_files(request));
  CAMBRIAN_TRY(const auto hidden, data_.hidden(request.task->manifest.data));
  const std::string key = build_key({"warm", toolchain_.digest(), hidden}, request, files);
  // Asked for before the library, which it makes where it is not there.
  const bool is_ready = templates_.find(kind) != nullptr;
  auto library =
      toolchain_.find_warm_library(toolchain_.compile_options(kind == WarmKind::libtorch));
  if (!library) return std::nullopt;
  if (auto found = toolchain_.cache().find(key)) {
    BuildResult result;
    result.program = std::make_shared<WarmProgram>(std::move(*found), std::move(*library));
    result.is_cached = true;
    result.path = EvaluatorPath::warm;
    return result;
  }
  if (!is_ready) return std::nullopt;
  return compile(request, files, key, kind, stop);
}

Result<CompileInputs> WarmCandidates::compile_fixed_warm(const EvaluationRequest& request,
                                                         const std::vector<FileToWrite>& files,
                                                         WarmKind kind, std::stop_token stop) {
  // LibTorch's templates would be instantiated in them once more, beside those that the warm
  // library has: of a plain program there is one of each.
  if (kind != WarmKind::cpp) return CompileInputs{compiled_sources(files), std::nullopt};
  CompileOptions options = toolchain_.compile_options(false);
  // What a plain compile has from the precompiled header, as parts of a shared object.
  options.extra = {"-fPIC", "-include",
                   std::string(kSdkFolder) + "/include/cambrian/candidate.hpp"};
  BuildJob job;
  job.time = request.task->manifest.limits.compile_time;
  job.cores = request.cores;
  job.mounts = toolchain_.mounts();
  CAMBRIAN_TRY(job.hidden, data_.hidden(request.task->manifest.data));
  return compile_fixed(toolchain_, request, files, options, std::move(job), stop);
}

Result<std::optional<BuildResult>> WarmCandidates::compile(const EvaluationRequest& request,
                                                           const std::vector<FileToWrite>& files,
                                                           const std::string& key, WarmKind kind,
                                                           std::stop_token stop) {
  const auto servers = templates_.find(kind);
  if (!servers) return std::nullopt;
  CAMBRIAN_TRY(const CompileInputs fixed, compile_fixed_warm(request, files, kind, stop));
  WarmInputs inputs = warm_inputs(files, fixed);
  SandboxCommand command = compile_command(request);
  command.arguments = std::move(inputs.names);
  CAMBRIAN_TRY(command.hidden, data_.hidden(request.task->manifest.data));
  CAMBRIAN_TRY_STATUS(toolchain_.cache().check_room(command.disk_bytes));
  CAMBRIAN_TRY(const ScratchFolder scratch, toolchain_.cache().make_scratch());
  CAMBRIAN_TRY(const fs::path output, Toolchain::make_output(scratch));
  const auto archive = make_archive(inputs.files);
  if (!archive) return std::nullopt;
  const fs::path object = output / kObjectName;
  const Descriptor built(
      open(object.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!built) return fail(Errc::unavailable, "no file for a program: path=" + object.string());

  const auto process = fork_server(
      servers, *servers->compiler, command,
      {.archive = archive->get(), .folder = std::string(kSourceFolder), .output = built.get()});
  if (!process) return std::nullopt;
  CAMBRIAN_TRY(const ProcessExit exit, wait_for(*process, stop));
  if (is_for_compiler(exit)) return std::nullopt;
  BuildRun run = Toolchain::conclude(exit, process->log());
  // What failed for want of room says nothing about the sources.
  if (!run.is_ok) CAMBRIAN_TRY_STATUS(toolchain_.cache().check_room(command.disk_bytes));
  BuildResult result;
  result.cpu_time = run.cpu_time;
  result.path = EvaluatorPath::warm;
  result.failure = run.failure;
  result.diagnostics = std::move(run.diagnostics);
  struct stat info{};
  if (!run.is_ok) return result;
  if (fstat(built.get(), &info) != 0 || info.st_size == 0) return std::nullopt;
  fchmod(built.get(), 0644);
  CAMBRIAN_TRY(CachedFolder folder, toolchain_.cache().insert(key, output));
  auto library =
      toolchain_.find_warm_library(toolchain_.compile_options(kind == WarmKind::libtorch));
  if (!library) return std::nullopt;
  result.program = std::make_shared<WarmProgram>(std::move(folder), std::move(*library));
  return result;
}

Result<std::unique_ptr<SandboxedProcess>> WarmCandidates::start(const EvaluationRequest& request,
                                                                const Program& program,
                                                                int socket) {
  if (const auto* python = dynamic_cast<const PythonProgram*>(&program)) {
    SandboxCommand command = candidate_process(request, socket);
    command.arguments = python_host_arguments(kProgramFolder, request.task->manifest.candidate.run);
    CAMBRIAN_TRY(const auto files, candidate_files(request));
    CAMBRIAN_TRY(auto forked,
                 fork_host(request, python->kind(), std::move(command), archived(files)));
    if (forked) return forked;
    return plain_.start(request, python->plain(), socket);
  }
  const auto* warm = dynamic_cast<const WarmProgram*>(&program);
  if (warm == nullptr) return plain_.start(request, program, socket);
  SandboxCommand command = candidate_process(request, socket);
  command.arguments = {program_path()};
  const bool libtorch = request.task->manifest.candidate.runtime == Runtime::libtorch;
  CAMBRIAN_TRY(const auto object, read_object(warm->folder()));
  if (object && request.gpus.empty()) {
    CAMBRIAN_TRY(auto forked, fork_host(request, libtorch ? WarmKind::libtorch : WarmKind::cpp,
                                        command, {{kObjectName, *object}}));
    if (forked) return forked;
  }
  command.mounts = {{warm->library(), std::string(kWarmFolder), false},
                    {warm->folder(), std::string(kProgramFolder), false}};
  return start_cold(request, std::move(command));
}

Result<std::unique_ptr<SandboxedProcess>> WarmCandidates::fork_host(
    const EvaluationRequest& request, WarmKind kind, SandboxCommand command,
    const std::vector<ArchivedFile>& files) {
  const auto servers = templates_.find(kind);
  const auto archive = make_archive(files);
  std::unique_ptr<SandboxedProcess> none;
  if (!servers || !archive) return none;
  CAMBRIAN_TRY(command.hidden, data_.hidden(request.task->manifest.data));
  return fork_server(servers, *servers->host, command,
                     {.archive = archive->get(), .folder = std::string(kProgramFolder)});
}

Result<std::unique_ptr<SandboxedProcess>> WarmCandidates::start_cold(
    const EvaluationRequest& request, SandboxCommand command) {
  CAMBRIAN_TRY(command.hidden, data_.hidden(request.task->manifest.data));
  command.arguments = candidate_host_command(program_path());
  const std::vector<Mount> mounts = toolchain_.mounts();
  command.mounts.insert(command.mounts.end(), mounts.begin(), mounts.end());
  command.mounts.push_back(
      {templates_.programs() / "cambrian-candidate-host", std::string(kHostTarget), false});
  return toolchain_.sandbox().start(command);
}

}  // namespace cambrian::worker
