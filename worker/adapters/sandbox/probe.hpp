#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/adapters/sandbox/bubblewrap.hpp"

namespace cambrian::worker {

/// What this machine can enforce, found by trying it.
struct SandboxProbe {
  /// Level::limits means that candidates cannot be isolated here: nothing is run then.
  SandboxLevel level = SandboxLevel::limits;
  /// Why it is below `standard`, and what mends it. Empty where it is not.
  std::string reason;
  /// Sandboxes of this machine. Null below `standard`.
  std::unique_ptr<BubblewrapSandbox> sandbox;
  std::chrono::milliseconds start_time{0};
  /// The walls that a program in a sandbox was found to stand behind, and those that this machine
  /// lacks: for people.
  std::vector<std::string> walls;
  std::vector<std::string> missing;
};

/// Looks at this machine and runs one program in a sandbox. `program_folder` holds
/// cambrian-sandbox-init. Blocks for some ten milliseconds.
SandboxProbe probe_sandbox(const std::filesystem::path& program_folder);

}  // namespace cambrian::worker
