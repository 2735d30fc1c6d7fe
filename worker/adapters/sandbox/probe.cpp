#include "worker/adapters/sandbox/probe.hpp"

#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "worker/adapters/sandbox/gpus.hpp"
#include "worker/adapters/sandbox/landlock.hpp"
#include "worker/adapters/sandbox/self_test.hpp"
#include "worker/adapters/sandbox/supervisor.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

/// What the self-test of cambrian-sandbox-init printed.
using Seen = std::map<std::string, std::string, std::less<>>;

Seen parse_self_test(const std::string& text) {
  Seen seen;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) seen[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return seen;
}

// True where the sandbox's namespace is there and is not the worker's.
bool is_own_namespace(const Seen& seen, const std::string& name) {
  std::error_code error;
  const auto ours = fs::read_symlink("/proc/self/ns/" + name, error);
  const auto found = seen.find(name);
  return found != seen.end() && (error || ours.string() != found->second);
}

bool is_held(const Seen& seen, std::string_view wall) {
  const auto found = seen.find(wall);
  return found != seen.end() && found->second == "1";
}

/// What the self-test saw behind the filter of each profile.
struct Views {
  Seen compile;
  Seen candidate;
  Seen judge;
};

// Fills walls and missing. Returns the names of the walls without which nothing may run.
std::string judge_walls(const Views& views, const SandboxHost& host, SandboxProbe& probe) {
  const Seen& seen = views.candidate;
  std::string needed;
  const auto note = [&](std::string name, bool is_there, bool is_needed) {
    if (!is_there && is_needed) needed += (needed.empty() ? "" : ", ") + name;
    (is_there ? probe.walls : probe.missing).push_back(std::move(name));
  };
  for (const auto& [name, wall] :
       {std::pair("mnt", "mount namespace"), std::pair("pid", "process namespace"),
        std::pair("net", "network namespace"), std::pair("ipc", "ipc namespace"),
        std::pair("uts", "host name namespace")}) {
    note(wall, is_own_namespace(seen, name), true);
  }
  note(host.is_root ? "own user" : "user namespace", host.is_root || is_own_namespace(seen, "user"),
       true);
  note("empty root", is_held(seen, "root"), true);
  note("no privileges", is_held(seen, "privileges"), true);
  note("seccomp", is_held(seen, "seccomp"), true);
  for (const auto& [wall, view] : {std::pair("call list of compilers", &views.compile),
                                   std::pair("call list of judges", &views.judge)}) {
    note(wall, is_held(*view, "seccomp") && is_held(*view, "call_list"), true);
  }
  note("resource limits", is_held(seen, "limits"), true);
  const bool is_restricted = is_held(seen, "landlock");
  note(is_restricted ? "landlock " + std::to_string(host.landlock_version) : "landlock",
       is_restricted, host.landlock_version > 0);
  note("cgroup namespace", is_own_namespace(seen, "cgroup"), false);
  return needed;
}

long long number_in(const char* path, long long otherwise) {
  std::ifstream file(path);
  long long value = otherwise;
  return file >> value ? value : otherwise;
}

bool has_admin_capability() {
  constexpr int kCapSysAdmin = 21;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("CapEff:")) continue;
    return ((std::stoull(line.substr(7), nullptr, 16) >> kCapSysAdmin) & 1) != 0;
  }
  return false;
}

std::string explain(const std::string& failure) {
  if (geteuid() == 0 && !has_admin_capability()) {
    return "root without CAP_SYS_ADMIN cannot make namespaces: run the worker as an ordinary user, "
           "or give its container that capability";
  }
  if (number_in("/proc/sys/user/max_user_namespaces", 1) == 0) {
    return "user namespaces are switched off: sysctl user.max_user_namespaces=10000";
  }
  if (number_in("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0) {
    return "user namespaces are switched off: sysctl kernel.unprivileged_userns_clone=1";
  }
  if (number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1) {
    return "AppArmor forbids user namespaces: sysctl "
           "kernel.apparmor_restrict_unprivileged_userns=0, or a profile for bwrap";
  }
  const bool is_container = fs::exists("/.dockerenv") || fs::exists("/run/.containerenv");
  if (is_container) {
    return "the container's own filter forbids namespaces: start it with --security-opt "
           "seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
           "systempaths=unconfined (" +
           failure + ")";
  }
  return "bubblewrap fails: " + failure;
}

SandboxHost look_at_host(const fs::path& program_folder) {
  SandboxHost host;
  host.supervisor = (program_folder / "cambrian-sandbox-init").string();
  host.is_root = geteuid() == 0;
  host.landlock_version = landlock_version();
  host.has_loader_cache = fs::exists("/etc/ld.so.cache");
  host.has_alternatives = fs::exists("/etc/alternatives");
  for (const char* folder : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    if (fs::is_symlink(folder)) host.usr_merged.emplace_back(folder);
  }
  for (const char* device : {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",
                             "/dev/nvidia-modeset", "/dev/nvidia-caps"}) {
    if (fs::exists(device)) host.gpu_devices.emplace_back(device);
  }
  // Where they do not answer, whoever wants to use them gets the error.
  if (const auto gpus = find_gpus("all")) {
    for (const GpuDevice& gpu : *gpus) host.gpu_files[gpu.id] = gpu.device_file;
  }
  return host;
}

// Where the kernel holds a program in a sandbox to its control group, the sandbox of the probe
// makes one for each program from now on.
void probe_groups(SandboxHost host, SandboxProbe& probe) {
  auto groups = ControlGroups::open();
  std::string problem = groups ? "" : groups.error().message;
  if (groups) {
    host.groups = std::move(*groups);
    auto sandbox = BubblewrapSandbox::make(host);
    SandboxCommand command;
    command.arguments = {kSupervisorTarget, kGroupTestArgument};
    command.wall_time = std::chrono::seconds(10);
    command.memory_bytes = kGroupTestBytes;
    command.processes = 1;
    const auto ended = sandbox ? run_to_end(**sandbox, command, {}) : fail(sandbox.error());
    if (!ended || !ended->first.was_started) {
      problem = ended ? ended->first.failure : ended.error().message;
    } else if (!ended->first.group->are_processes_exceeded) {
      problem = "the kernel allowed more processes than the group may have";
    } else if (!ended->first.group->is_memory_exceeded) {
      problem = "the kernel allowed more memory than the group may have";
    } else {
      probe.walls.push_back(host.groups->text());
      probe.level = SandboxLevel::strict;
      probe.sandbox = std::move(*sandbox);
      return;
    }
  }
  probe.missing.push_back("control group: " + problem);
}

}  // namespace

SandboxProbe probe_sandbox(const fs::path& program_folder) {
  SandboxProbe probe;
  const SandboxHost host = look_at_host(program_folder);
  if (access(host.bubblewrap.c_str(), X_OK) != 0) {
    probe.reason = "bubblewrap is missing: apt-get install bubblewrap";
    return probe;
  }
  if (access(host.supervisor.c_str(), X_OK) != 0) {
    probe.reason = "program is missing beside the worker: program=" + host.supervisor;
    return probe;
  }
  auto sandbox = BubblewrapSandbox::make(host);
  if (!sandbox) {
    probe.reason = sandbox.error().message;
    return probe;
  }
  Views views;
  for (const auto& [profile, view] : {std::pair(SandboxProfile::candidate, &views.candidate),
                                      std::pair(SandboxProfile::compile, &views.compile),
                                      std::pair(SandboxProfile::judge, &views.judge)}) {
    SandboxCommand command;
    command.profile = profile;
    command.arguments = {kSupervisorTarget, kSelfTestArgument};
    command.wall_time = std::chrono::seconds(10);
    const auto started = std::chrono::steady_clock::now();
    const auto ended = run_to_end(**sandbox, command, {});
    probe.start_time = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - started);
    if (!ended || !ended->first.was_started) {
      probe.reason = explain(ended ? ended->first.failure : ended.error().message);
      return probe;
    }
    *view = parse_self_test(ended->second);
  }
  const std::string needed = judge_walls(views, host, probe);
  if (!needed.empty()) {
    probe.reason = "a program in the sandbox is not isolated: missing=" + needed;
  } else {
    probe.level = SandboxLevel::standard;
    probe.sandbox = std::move(*sandbox);
    probe_groups(host, probe);
  }
  return probe;
}

}  // namespace cambrian::worker
