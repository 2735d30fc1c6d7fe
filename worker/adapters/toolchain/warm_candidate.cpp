#include "worker/adapters/toolchain/warm_candidate.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "common/log/log.hpp"
#include "worker/evaluator/source_archive.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kObjectName = "program.so";
// As for a plain compile, whose memory does not hold the headers already.
constexpr std::int64_t kCompileMemoryBytes = std::int64_t{4} << 30;
constexpr std::int64_t kCompileDiskBytes = std::int64_t{256} << 20;
constexpr std::int64_t kCompileLogBytes = 64 << 10;
constexpr int kCompileProcesses = 64;

/// A shared object of the cache as a program.
class WarmProgram final : public Program {
 public:
  explicit WarmProgram(CachedFolder folder) : folder_(std::move(folder)) {}
  const fs::path& folder() const { return folder_.path(); }

 private:
  CachedFolder folder_;
};

/// A process of a fork server, which lives as long.
class ServedProcess final : public SandboxedProcess {
 public:
  ServedProcess(std::shared_ptr<WarmServers> servers, std::unique_ptr<SandboxedProcess> process)
      : servers_(std::move(servers)), process_(std::move(process)) {}
  void stop() override { process_->stop(); }
  std::optional<ProcessExit> wait(std::chrono::milliseconds longest) override {
    return process_->wait(longest);
  }
  std::string log() const override { return process_->log(); }

 private:
  std::shared_ptr<WarmServers> servers_;  // Shared with other processes and the templates.
  std::unique_ptr<SandboxedProcess> process_;
};

// Where a candidate's process finds it.
std::string program_path() { return std::string(kProgramFolder) + "/" + std::string(kObjectName); }

bool is_eligible(const EvaluationRequest& request) {
  const TaskManifest& manifest = request.task->manifest;
  const CandidateSpec& candidate = manifest.candidate;
  const bool is_ours = candidate.runtime == Runtime::libtorch || candidate.runtime == Runtime::cpp;
  return is_ours && candidate.options.empty() && manifest.limits.cpus == 1;
}

Result<Descriptor> make_archive(const std::vector<FileToWrite>& files) {
  std::vector<ArchivedFile> archived;
  for (const FileToWrite& file : files) archived.push_back({file.path, *file.content});
  const std::string text = write_archive(archived);
  Descriptor memory(memfd_create("sources", MFD_CLOEXEC));
  const auto size = static_cast<ssize_t>(text.size());
  if (!memory || write(memory.get(), text.data(), text.size()) != size) {
    return fail(Errc::unavailable, "no memory file for sources");
  }
  return memory;
}

SandboxCommand compile_command(const EvaluationRequest& request) {
  SandboxCommand command;
  command.profile = SandboxProfile::compile;
  command.wall_time = request.task->manifest.limits.compile_time;
  command.cpu_time = std::chrono::duration_cast<std::chrono::seconds>(2 * command.wall_time);
  command.memory_bytes = kCompileMemoryBytes;
  command.disk_bytes = kCompileDiskBytes;
  command.log_bytes = kCompileLogBytes;
  command.processes = kCompileProcesses;
  return command;
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

}  // namespace

Result<BuildResult> WarmCandidates::build(const EvaluationRequest& request, std::stop_token stop) {
  if (is_eligible(request)) {
    CAMBRIAN_TRY(auto built, build_warm(request, stop));
    if (built) return std::move(*built);
  }
  return plain_.build(request, stop);
}

Result<std::optional<BuildResult>> WarmCandidates::build_warm(const EvaluationRequest& request,
                                                              std::stop_token stop) {
  // What is wrong with a request is said by the plain compiler.
  if (request.task->manifest.sandbox > toolchain_.sandbox().level() || too_large(request)) {
    return std::nullopt;
  }
  CAMBRIAN_TRY(const auto files, candidate_files(request));
  const std::string key = build_key("warm", request, files, toolchain_.digest());
  if (auto found = toolchain_.cache().find(key)) {
    BuildResult result;
    result.program = std::make_shared<WarmProgram>(std::move(*found));
    result.is_cached = true;
    result.path = EvaluatorPath::warm;
    return result;
  }
  return compile(request, files, key, stop);
}

Result<std::optional<BuildResult>> WarmCandidates::compile(const EvaluationRequest& request,
                                                           const std::vector<FileToWrite>& files,
                                                           const std::string& key,
                                                           std::stop_token stop) {
  const auto servers = templates_.find(request.task->manifest.candidate.runtime);
  if (!servers) return std::nullopt;
  SandboxCommand command = compile_command(request);
  command.arguments = compiled_sources(files);
  CAMBRIAN_TRY(command.hidden, data_.hidden(request.task->manifest.data));
  CAMBRIAN_TRY_STATUS(toolchain_.cache().check_room(command.disk_bytes));
  CAMBRIAN_TRY(const ScratchFolder scratch, toolchain_.cache().make_scratch());
  CAMBRIAN_TRY(const fs::path output, Toolchain::make_output(scratch));
  CAMBRIAN_TRY(const Descriptor archive, make_archive(files));
  const fs::path object = output / kObjectName;
  const Descriptor built(
      open(object.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!built) return fail(Errc::unavailable, "no file for a program: path=" + object.string());

  ++servers->forks;
  auto process = servers->compiler->fork(
      command, {{archive.get(), built.get()}, std::string(kSourceFolder), ""});
  if (!process) return std::nullopt;
  CAMBRIAN_TRY(const ProcessExit exit, wait_for(**process, stop));
  servers->failures = exit.was_started ? 0 : servers->failures + 1;
  if (!exit.was_started) {
    log::warn("warm_fork_failed", {{"cause", exit.failure}});
    return std::nullopt;
  }
  if (is_for_compiler(exit)) return std::nullopt;
  BuildRun run = Toolchain::conclude(exit, (*process)->log());
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
  result.program = std::make_shared<WarmProgram>(std::move(folder));
  return result;
}

Result<std::unique_ptr<SandboxedProcess>> WarmCandidates::start(const EvaluationRequest& request,
                                                                const Program& program,
                                                                int socket) {
  const auto* warm = dynamic_cast<const WarmProgram*>(&program);
  if (warm == nullptr) return plain_.start(request, program, socket);
  const TaskManifest& manifest = request.task->manifest;
  SandboxCommand command = candidate_process(request, socket);
  CAMBRIAN_TRY(command.hidden, data_.hidden(manifest.data));
  const auto servers = templates_.find(manifest.candidate.runtime);
  if (!servers || !request.gpus.empty()) return start_cold(request, command, warm->folder());
  const fs::path object = warm->folder() / kObjectName;
  const Descriptor file(open(object.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return fail(Errc::unavailable, "program is gone: path=" + object.string());
  command.arguments = {program_path()};
  ++servers->forks;
  auto process = servers->host->fork(
      command, {{file.get()}, std::string(kProgramFolder), command.arguments.front()});
  if (!process) return start_cold(request, command, warm->folder());
  return std::make_unique<ServedProcess>(servers, std::move(*process));
}

Result<std::unique_ptr<SandboxedProcess>> WarmCandidates::start_cold(
    const EvaluationRequest& request, SandboxCommand command, const fs::path& folder) {
  const bool libtorch = request.task->manifest.candidate.runtime == Runtime::libtorch;
  CAMBRIAN_TRY(const CachedFolder library,
               toolchain_.warm_library(toolchain_.compile_options(libtorch), {}));
  command.arguments = candidate_host_command(program_path());
  command.mounts = toolchain_.mounts();
  command.mounts.push_back({library.path(), std::string(kWarmFolder), false});
  command.mounts.push_back(
      {templates_.programs() / "cambrian-candidate-host", std::string(kHostTarget), false});
  command.mounts.push_back({folder, std::string(kProgramFolder), false});
  return toolchain_.sandbox().start(command);
}

}  // namespace cambrian::worker
