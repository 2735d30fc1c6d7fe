#include "worker/adapters/toolchain/warm_judge.hpp"

#include "worker/adapters/toolchain/warm_fork.hpp"

namespace cambrian::worker {
namespace {

// Copied for each evaluation, where the plain way mounts the folder.
constexpr std::size_t kTaskBytesMax = 4 << 20;

bool is_small(const Task& task) {
  std::size_t bytes = 0;
  for (const TaskFile& file : task.files) bytes += file.content.size();
  return bytes <= kTaskBytesMax;
}

}  // namespace

std::optional<WarmKind> warm_judge_kind(const EvaluationRequest& request) {
  const TaskManifest& manifest = request.task->manifest;
  const bool is_warm = is_python_script(manifest.judge.run) && manifest.data.empty() &&
                       manifest.limits.cpus == 1 && is_small(*request.task);
  return is_warm ? std::optional(WarmKind::python_judge) : std::nullopt;
}

Result<BuildResult> WarmJudges::build(const EvaluationRequest& request, std::stop_token stop) {
  return plain_.build(request, stop);
}

Result<std::unique_ptr<SandboxedProcess>> WarmJudges::start(const EvaluationRequest& request,
                                                            const Program& program, int socket) {
  if (auto forked = fork(request, socket)) return forked;
  return plain_.start(request, program, socket);
}

std::unique_ptr<SandboxedProcess> WarmJudges::fork(const EvaluationRequest& request, int socket) {
  const auto kind = warm_judge_kind(request);
  const auto servers = kind ? templates_.find(*kind) : nullptr;
  if (!servers) return nullptr;
  const std::vector<FileToWrite> files = task_files(*request.task);
  const auto archive = make_archive(archived(files));
  if (!archive) return nullptr;
  SandboxCommand command = judge_process(request, socket);
  command.arguments = python_host_arguments(kTaskFolder, request.task->manifest.judge.run);
  return fork_server(servers, *servers->host, command,
                     {.archive = archive->get(), .folder = std::string(kTaskFolder)});
}

}  // namespace cambrian::worker
