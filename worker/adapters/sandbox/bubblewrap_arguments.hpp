#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/adapters/sandbox/control_groups.hpp"
#include "worker/ports/sandbox.hpp"

namespace cambrian::worker {

/// How sandboxes are made on this machine: found once at start.
struct SandboxHost {
  std::string bubblewrap = "/usr/bin/bwrap";
  std::string supervisor;                ///< Path of cambrian-sandbox-init.
  bool is_root = false;                  ///< Root needs no user namespace and becomes `uid` inside.
  int landlock_version = 0;              ///< 0: the kernel has none.
  bool has_loader_cache = true;          ///< /etc/ld.so.cache exists.
  bool has_alternatives = true;          ///< /etc/alternatives exists.
  std::vector<std::string> usr_merged;   ///< Of /bin, /lib, /lib64 …: those that are links to /usr.
  std::vector<std::string> gpu_devices;  ///< Device files that every user of a GPU needs.
  /// Makes a control group for each sandbox; shared by what starts sandboxes. Null: there are none.
  std::shared_ptr<ControlGroups> groups;
  std::map<std::string, std::string> gpu_files;  ///< Device file of each GPU, by its id.
};

/// The command line of one sandbox. `uid` is the user to become inside, -1 to stay.
std::vector<std::string> bubblewrap_arguments(const SandboxHost& host,
                                              const SandboxCommand& command, long long uid);

}  // namespace cambrian::worker
