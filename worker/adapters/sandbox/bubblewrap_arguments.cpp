#include "worker/adapters/sandbox/bubblewrap_arguments.hpp"

#include <algorithm>
#include <iterator>

#include "worker/adapters/sandbox/supervisor.hpp"

namespace cambrian::worker {
namespace {

using Arguments = std::vector<std::string>;

// Mapped, but not used: libraries, arenas of threads, stacks. LibTorch alone maps 1.3 GiB.
constexpr std::int64_t kAddressSlackBytes = std::int64_t{8} << 30;
// As everywhere on Linux. The stack of each thread is as large and counts as data: with 64 MiB, a
// candidate with 256 MiB could not start four threads.
constexpr std::int64_t kStackBytes = std::int64_t{8} << 20;
constexpr int kOpenFilesMax = 256;
// Files and folders in memory: more than a build or an honest program makes. At a rate of some
// hundred thousand a second, some ten thousand more are there before it is noticed.
constexpr int kInodesMax = 65'536;
// The supervisor counts as a process of the sandbox, too.
constexpr int kSupervisorProcesses = 1;

// Below /usr, what is meant for judges only: packaged data sets, and the example tasks that are
// installed beside the SDK. Of other tasks nobody says which data are theirs.
constexpr const char* kJudgesFolders[] = {"/usr/share/datasets", "/usr/share/cambrian",
                                          "/usr/local/share/cambrian"};

void append(Arguments& to, std::initializer_list<std::string> more) {
  to.insert(to.end(), more.begin(), more.end());
}

void append_isolation(Arguments& to, const SandboxHost& host) {
  append(to, {"--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
              "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--as-pid-1",
              "--clearenv", "--hostname", "sandbox", "--cap-drop", "ALL", "--seccomp",
              std::to_string(kSeccompProgram)});
  if (host.is_root) {
    // The supervisor gives them up when it becomes another user.
    append(to, {"--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"});
  } else {
    append(to, {"--unshare-user"});
  }
}

void append_tmpfs(Arguments& to, const std::string& target, std::int64_t bytes) {
  append(to, {"--perms", "1777", "--size", std::to_string(bytes), "--tmpfs", target});
}

void append_hidden(Arguments& to, const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    append(to, {"--tmpfs", path.string(), "--remount-ro", path.string()});
  } else if (std::filesystem::exists(path, error)) {
    append(to, {"--ro-bind", "/dev/null", path.string()});
  }
}

// Without what lies inside of another one, which is shown empty already.
std::vector<std::filesystem::path> hidden_paths(const SandboxCommand& command) {
  std::vector<std::filesystem::path> paths = command.hidden;
  if (command.profile != SandboxProfile::judge) {
    paths.insert(paths.end(), std::begin(kJudgesFolders), std::end(kJudgesFolders));
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::filesystem::path> outermost;
  for (const auto& path : paths) {
    const auto is_inside = [&path](const std::filesystem::path& outer) {
      return std::mismatch(outer.begin(), outer.end(), path.begin(), path.end()).first ==
             outer.end();
    };
    if (std::none_of(outermost.begin(), outermost.end(), is_inside)) outermost.push_back(path);
  }
  return outermost;
}

void append_files(Arguments& to, const SandboxHost& host, const SandboxCommand& command) {
  append(to, {"--ro-bind", "/usr", "/usr"});
  for (const auto& path : hidden_paths(command)) append_hidden(to, path);
  for (const std::string& link : host.usr_merged) append(to, {"--symlink", "usr" + link, link});
  append(to, {"--perms", "0755", "--dir", "/etc"});
  if (host.has_loader_cache) append(to, {"--ro-bind", "/etc/ld.so.cache", "/etc/ld.so.cache"});
  if (host.has_alternatives) append(to, {"--ro-bind", "/etc/alternatives", "/etc/alternatives"});
  append(to, {"--proc", "/proc", "--dev", "/dev"});
  append(to, {"--ro-bind", kRandomId, kBootId});
  for (const char* folder : kWritableFolders) append_tmpfs(to, folder, command.disk_bytes);
  append(to, {"--ro-bind", host.supervisor, kSupervisorTarget});
  for (const Mount& mount : command.mounts) {
    // Left to itself, bubblewrap makes parents that only root may enter.
    const std::string parent = std::filesystem::path(mount.target).parent_path().string();
    if (parent != "/") append(to, {"--perms", "0755", "--dir", parent});
    append(to, {mount.is_writable ? "--bind" : "--ro-bind", mount.source.string(), mount.target});
  }
  if (!command.gpus.empty()) {
    for (const std::string& device : host.gpu_devices) append(to, {"--dev-bind", device, device});
    for (const std::string& gpu : command.gpus) {
      // Instances of one GPU share its file: between them the variable chooses.
      const auto file = host.gpu_files.find(gpu);
      if (file != host.gpu_files.end()) append(to, {"--dev-bind", file->second, file->second});
    }
  }
  // The root and /dev are tmpfs without a size: nobody may write into them.
  append(to, {"--remount-ro", "/", "--remount-ro", "/dev", "--chdir", command.working_folder});
}

void append_environment(Arguments& to, const SandboxCommand& command) {
  std::string gpus;
  for (const std::string& gpu : command.gpus) gpus += (gpus.empty() ? "" : ",") + gpu;
  append(to, {"--setenv", "PATH", "/usr/bin", "--setenv", "HOME", "/tmp", "--setenv", "TMPDIR",
              "/tmp", "--setenv", "LANG", "C.UTF-8", "--setenv", "USER", "sandbox", "--setenv",
              "CUDA_VISIBLE_DEVICES", gpus});
  if (command.socket >= 0) append(to, {"--setenv", "CAMBRIAN_FD", std::to_string(kProgramSocket)});
  for (const auto& [name, value] : command.environment) append(to, {"--setenv", name, value});
}

void append_supervisor(Arguments& to, const SandboxHost& host, const SandboxCommand& command,
                       long long uid) {
  const auto setting = [&to](const char* name, long long value) {
    to.push_back(std::string(name) + "=" + std::to_string(value));
  };
  to.push_back("--");
  to.emplace_back(kSupervisorTarget);
  setting("uid", uid);
  setting("socket", command.socket >= 0 ? 1 : 0);
  setting("memory", command.memory_bytes);
  setting("data", command.memory_bytes);
  // A CUDA driver reserves far more addresses than it uses.
  setting("address", command.gpus.empty() ? command.memory_bytes + kAddressSlackBytes : 0);
  setting("file", command.disk_bytes);
  setting("stack", kStackBytes);
  setting("files", kOpenFilesMax);
  // Above what the control group allows, which counts what it refuses.
  const int groups = host.groups ? host.groups->door_count() : 0;
  setting("processes", command.processes + kSupervisorProcesses + (groups > 0 ? 1 : 0));
  setting("groups", groups);
  setting("cpu", std::max<long long>(1, command.cpu_time.count()));
  setting("inodes", kInodesMax);
  if (host.landlock_version > 0) setting("landlock", command.gpus.empty() ? 1 : 2);
  to.push_back("--");
  to.insert(to.end(), command.arguments.begin(), command.arguments.end());
}

}  // namespace

Arguments bubblewrap_arguments(const SandboxHost& host, const SandboxCommand& command,
                               long long uid) {
  Arguments arguments = {host.bubblewrap};
  append_isolation(arguments, host);
  append_files(arguments, host, command);
  append_environment(arguments, command);
  append_supervisor(arguments, host, command, uid);
  return arguments;
}

}  // namespace cambrian::worker
