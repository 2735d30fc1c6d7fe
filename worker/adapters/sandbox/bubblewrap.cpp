#include "worker/adapters/sandbox/bubblewrap.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "worker/adapters/sandbox/core_lease.hpp"
#include "worker/adapters/sandbox/fork_server.hpp"
#include "worker/adapters/sandbox/launched_process.hpp"
#include "worker/adapters/sandbox/seccomp_filter.hpp"
#include "worker/adapters/sandbox/spawn.hpp"

namespace cambrian::worker {

namespace {

namespace fs = std::filesystem;

Status change_owner(const fs::path& path, long long uid) {
  if (lchown(path.c_str(), static_cast<uid_t>(uid), static_cast<gid_t>(uid)) == 0) return {};
  return fail(Errc::internal, "file does not change its owner: path=" + path.string() +
                                  " error=" + std::strerror(errno));
}

// A folder with everything in it. Only folders that no untrusted code has touched are mounted
// writable; links are not followed all the same.
Status give_folder(const fs::path& folder, long long uid) {
  CAMBRIAN_TRY_STATUS(change_owner(folder, uid));
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    CAMBRIAN_TRY_STATUS(change_owner(at->path(), uid));
  }
  if (!error) return {};
  return fail(Errc::internal,
              "folder is not readable: path=" + folder.string() + " error=" + error.message());
}

}  // namespace

Result<std::unique_ptr<BubblewrapSandbox>> BubblewrapSandbox::make(SandboxHost host) {
  std::unique_ptr<BubblewrapSandbox> sandbox(new BubblewrapSandbox(std::move(host)));
  for (const auto profile :
       {SandboxProfile::compile, SandboxProfile::candidate, SandboxProfile::judge}) {
    for (const bool has_gpu : {false, true}) {
      CAMBRIAN_TRY(sandbox->filters_[static_cast<std::size_t>(profile)][has_gpu],
                   make_seccomp_program(profile, has_gpu));
    }
  }
  return sandbox;
}

std::shared_ptr<const std::vector<int>> BubblewrapSandbox::lease_cores(int count) {
  auto lease = std::make_shared<const CoreLease>(CoreLease::take(count));
  return {lease, &lease->cores()};
}

Result<std::unique_ptr<SandboxedProcess>> BubblewrapSandbox::start(const SandboxCommand& command) {
  long long uid = -1;
  if (host_.is_root) {
    CAMBRIAN_TRY(uid, make_user_id());
    for (const Mount& mount : command.mounts) {
      if (!mount.is_writable) continue;
      CAMBRIAN_TRY_STATUS(give_folder(mount.source, uid));
    }
  }
  const auto arguments = bubblewrap_arguments(host_, command, uid);
  return launch_process(
      command, {.filter = filter(command), .groups = host_.groups.get(), .gpu_watch = gpu_watch_},
      [arguments](const auto& descriptors) { return spawn(arguments, descriptors); });
}

const std::string& BubblewrapSandbox::filter(const SandboxCommand& command) const {
  return filters_[static_cast<std::size_t>(command.profile)][command.gpus.empty() ? 0 : 1];
}

Result<std::unique_ptr<ForkServer>> BubblewrapSandbox::start_fork_server(
    const SandboxCommand& command) {
  return BubblewrapForkServer::start(host_, command,
                                     [this](const SandboxCommand& fork) { return filter(fork); });
}

}  // namespace cambrian::worker
