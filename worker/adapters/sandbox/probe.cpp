#include "worker/adapters/sandbox/probe.hpp"

#include <unistd.h>

#include <fstream>

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

// What the probe's program must see: its own namespaces and no way out of them.
constexpr std::string_view kProbeScript =
    "[ ! -e /etc/passwd ] && [ ! -e /root ] && [ ! -e /home ] && "
    "[ \"$(echo /proc/[0-9]*)\" != \"\" ] && ! touch /probe 2>/dev/null && touch /tmp/probe && "
    "echo isolated";

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
  host.has_loader_cache = fs::exists("/etc/ld.so.cache");
  host.has_alternatives = fs::exists("/etc/alternatives");
  for (const char* folder : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    if (fs::is_symlink(folder)) host.usr_merged.emplace_back(folder);
  }
  for (const char* device : {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",
                             "/dev/nvidia-modeset", "/dev/nvidia-caps"}) {
    if (fs::exists(device)) host.gpu_devices.emplace_back(device);
  }
  return host;
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
  SandboxCommand command;
  command.arguments = {"/usr/bin/sh", "-c", std::string(kProbeScript)};
  command.wall_time = std::chrono::seconds(10);
  const auto started = std::chrono::steady_clock::now();
  const auto ended = run_to_end(**sandbox, command, {});
  probe.start_time = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - started);
  if (!ended) {
    probe.reason = explain(ended.error().message);
  } else if (!ended->first.was_started) {
    probe.reason = explain(ended->first.failure);
  } else if (ended->second != "isolated\n") {
    probe.reason = "a program in the sandbox is not isolated: " + sanitise(ended->second);
  } else {
    probe.level = SandboxLevel::standard;
    probe.sandbox = std::move(*sandbox);
  }
  return probe;
}

}  // namespace cambrian::worker
