#include "worker/adapters/toolchain/warm_fork.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include "common/log/log.hpp"

namespace cambrian::worker {
namespace {

/// A process of a fork server, which lives as long.
class ServedProcess final : public SandboxedProcess {
 public:
  ServedProcess(std::shared_ptr<WarmServers> servers, std::unique_ptr<SandboxedProcess> process)
      : servers_(std::move(servers)), process_(std::move(process)) {}
  void stop() override { process_->stop(); }
  std::optional<ProcessExit> wait(std::chrono::milliseconds longest) override {
    const auto exit = process_->wait(longest);
    if (exit && exit->is_left_behind) servers_->is_left_behind = true;
    return exit;
  }
  std::string log() const override { return process_->log(); }

 private:
  std::shared_ptr<WarmServers> servers_;  // Shared with other processes and the templates.
  std::unique_ptr<SandboxedProcess> process_;
};

}  // namespace

std::unique_ptr<SandboxedProcess> fork_server(const std::shared_ptr<WarmServers>& servers,
                                              ForkServer& server, const SandboxCommand& command,
                                              const ForkFiles& files) {
  ++servers->forks;
  auto process = server.fork(command, files);
  if (process) {
    servers->failures = 0;
    return std::make_unique<ServedProcess>(servers, std::move(*process));
  }
  ++servers->failures;
  log::warn("warm_fork_failed", {{"cause", process.error().message}});
  return nullptr;
}

std::vector<ArchivedFile> archived(const std::vector<FileToWrite>& files) {
  std::vector<ArchivedFile> list;
  for (const FileToWrite& file : files) list.push_back({file.path, *file.content});
  return list;
}

Result<Descriptor> make_archive(const std::vector<ArchivedFile>& files) {
  const std::string text = write_archive(files);
  if (text.size() > kArchiveBytesMax) {
    return fail(Errc::exhausted, "too large for a fork: bytes=" + std::to_string(text.size()));
  }
  Descriptor memory(memfd_create("files", MFD_CLOEXEC));
  const auto size = static_cast<ssize_t>(text.size());
  if (!memory || write(memory.get(), text.data(), text.size()) != size) {
    return fail(Errc::unavailable, "no memory file for a fork");
  }
  return memory;
}

bool is_python_script(const std::vector<std::string>& command) {
  return command.size() >= 2 && command[0] == "python3" && command[1].ends_with(".py") &&
         !command[1].starts_with('-');
}

std::vector<std::string> python_host_arguments(std::string_view folder,
                                               const std::vector<std::string>& command) {
  std::vector<std::string> arguments = command;
  arguments.front() = folder;
  return arguments;
}

}  // namespace cambrian::worker
