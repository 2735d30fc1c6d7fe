#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "worker/adapters/toolchain/folder_cache.hpp"
#include "worker/adapters/toolchain/source_folder.hpp"
#include "worker/evaluation/compile_command.hpp"
#include "worker/ports/programs.hpp"

namespace cambrian {
class KeyDigest;
}

namespace cambrian::worker {

/// A folder of the cache as a program.
class BuiltProgram final : public Program {
 public:
  explicit BuiltProgram(CachedFolder folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  CachedFolder folder_;
};

/// Limits of a compile, warm or not, where the job sets no other. A template-heavy model takes 1 to
/// 1.5 GiB.
inline constexpr std::int64_t kCompileMemoryBytes = std::int64_t{4} << 30;
inline constexpr std::int64_t kCompileDiskBytes = std::int64_t{256} << 20;
/// A precompiled header with LibTorch: 133 MB by Clang; g++ makes larger ones.
inline constexpr std::int64_t kTorchPchBytes = std::int64_t{1} << 30;
inline constexpr std::int64_t kCompileLogBytes = 64 << 10;
inline constexpr int kCompileProcesses = 64;

/// A whole file; empty where it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// One run of a build command in its own sandbox.
struct BuildJob {
  std::vector<std::string> command;
  std::string working_folder;
  std::vector<Mount> mounts;
  std::chrono::milliseconds time;
  std::int64_t memory_bytes = kCompileMemoryBytes;
  std::int64_t output_bytes = kCompileDiskBytes;
  std::vector<std::filesystem::path> hidden = {};  ///< As in SandboxCommand.
  std::vector<int> cores = {};                     ///< SandboxCommand::confined_to.
};

/// How a build ended.
struct BuildRun {
  bool is_ok = false;
  Outcome failure = Outcome::compile_error;
  std::string diagnostics;
  Duration cpu_time{0};
};

/// The compiler, LibTorch and the SDK of this machine, used inside sandboxes only.
/// Threads: any, several at once.
class Toolchain {
 public:
  struct Options {
    std::filesystem::path sdk;       ///< Holds include/ and lib/.
    std::filesystem::path torch;     ///< A LibTorch with include/ and lib/; empty: that of /usr.
    std::filesystem::path programs;  ///< Where cambrian-evaluator may be; empty: nowhere.
    std::optional<Compiler> compiler = {};  ///< Not set: Clang, or g++ where there is no Clang.
  };

  /// Looks at compiler, SDK and LibTorch. `sandbox` and `cache` must outlive it. Errors:
  /// unavailable when the compiler or the SDK is missing.
  static Result<std::unique_ptr<Toolchain>> find(Options options, Sandbox& sandbox,
                                                 FolderCache& cache);

  /// Names versions and contents: equal digests build equal programs.
  const std::string& digest() const { return digest_; }
  /// For people: versions of compiler, libraries.
  const std::string& versions() const { return versions_; }
  bool has_libtorch() const { return has_libtorch_; }
  Compiler compiler() const { return compiler_; }
  Sandbox& sandbox() { return sandbox_; }
  FolderCache& cache() { return cache_; }

  /// SDK and, where it is not in /usr, LibTorch: for builds and for runs.
  std::vector<Mount> mounts() const;
  CompileOptions compile_options(bool libtorch) const;

  /// Runs a build. Errors: those of the sandbox; cancelled; exhausted when the disk has no room for
  /// `output_bytes`.
  Result<BuildRun> run(const BuildJob& job, std::stop_token stop);

  /// What a build that ended this way means, with its output as diagnostics.
  static BuildRun conclude(const ProcessExit& exit, const std::string& output);

  /// The folder with the warm library for these options, made first where it is not in the cache.
  /// Errors: internal when it does not compile.
  Result<CachedFolder> warm_library(const CompileOptions& options, std::stop_token stop);

  /// The same, but nothing where it is not in the cache.
  std::optional<CachedFolder> find_warm_library(const CompileOptions& options);

  /// The folder with the precompiled header for these options; makes it first where it is not in
  /// the cache, which takes about 25 s for LibTorch. Errors: internal when it does not compile.
  Result<CachedFolder> precompiled_header(const CompileOptions& options, std::stop_token stop);

  /// Writes the files into a fresh folder below `scratch`.
  static Result<std::filesystem::path> write_sources(const ScratchFolder& scratch,
                                                     const std::vector<FileToWrite>& files);
  static Result<std::filesystem::path> make_output(const ScratchFolder& scratch);

 private:
  std::string shared_key(const std::string& kind, const CompileOptions& options) const;
  Result<CachedFolder> make_once(const std::string& kind, const CompileOptions& options,
                                 std::vector<std::string> command, std::stop_token stop);
  Toolchain(Options options, Sandbox& sandbox, FolderCache& cache)
      : options_(std::move(options)), sandbox_(sandbox), cache_(cache) {}
  Result<std::string> look_at_compiler();
  Status look();
  Status add_sdk(KeyDigest& key) const;

  Options options_;
  Sandbox& sandbox_;
  FolderCache& cache_;
  Compiler compiler_ = Compiler::clang;
  std::string digest_;
  std::string versions_;
  bool has_libtorch_ = false;
  bool has_cuda_ = false;
};

}  // namespace cambrian::worker
