#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/adapters/toolchain/warm_templates.hpp"
#include "worker/evaluator/source_archive.hpp"

namespace cambrian::worker {

/// Forks one of the servers; the fork keeps them. Null: its fork does not run, which is logged, and
/// there is another way.
std::unique_ptr<SandboxedProcess> fork_server(const std::shared_ptr<WarmServers>& servers,
                                              ForkServer& server, const SandboxCommand& command,
                                              const ForkFiles& files);

/// Views of the files: valid as long as they are.
std::vector<ArchivedFile> archived(const std::vector<FileToWrite>& files);

/// For ForkFiles. Errors: exhausted where it is too large for a fork, unavailable.
Result<Descriptor> make_archive(const std::vector<ArchivedFile>& files);

/// `python3 FILE.py ...`, and nothing that a host of Python does not do.
bool is_python_script(const std::vector<std::string>& command);

/// What a host of Python gets to do as such a command does in `folder`.
std::vector<std::string> python_host_arguments(std::string_view folder,
                                               const std::vector<std::string>& command);

}  // namespace cambrian::worker
