#pragma once

#include <optional>
#include <string>
#include <vector>

#include "worker/adapters/toolchain/toolchain.hpp"

namespace cambrian::worker {

/// What is left to compile of a program of several sources, in the order of all of them.
struct CompileInputs {
  /// Sources below /src, and objects below `kFixedFolder` of those that need no compile.
  std::vector<std::string> inputs;
  /// Holds the objects, mounted at `kFixedFolder`; none: every source is compiled.
  std::optional<CachedFolder> objects;
};

/// Compiles the sources that no variant of the task changes, once for all variants: it is most of
/// the work where the evolved file is a small part of the program.
///
/// They are compiled where nothing lies that a variant changes. Sources that do not compile there,
/// because they include what evolves, are compiled with each variant, all of them, and so is
/// everything where the time or the memory did not suffice: what fails is said by the variant's own
/// compile. `files` are all files of the program, `job` has the time, the mounts (no sources) and
/// what is hidden. Errors: those of `Toolchain::run`.
Result<CompileInputs> compile_fixed(Toolchain& toolchain, const EvaluationRequest& request,
                                    const std::vector<FileToWrite>& files,
                                    const CompileOptions& options, BuildJob job,
                                    std::stop_token stop);

}  // namespace cambrian::worker
