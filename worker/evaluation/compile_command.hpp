#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/evaluation/types.hpp"

/// Command lines of the compiler, as argument vectors: nothing here is ever read by a shell. All
/// paths are those inside the compile sandbox.
namespace cambrian::worker {

/// Folders inside a sandbox.
inline constexpr std::string_view kSourceFolder = "/src";       ///< Read-only, sources.
inline constexpr std::string_view kOutputFolder = "/out";       ///< Writable, made by the build.
inline constexpr std::string_view kProgramFolder = "/program";  ///< Read-only, what was built.
inline constexpr std::string_view kSdkFolder = "/sdk";
inline constexpr std::string_view kPchFolder = "/pch";
inline constexpr std::string_view kTorchFolder = "/torch";
inline constexpr std::string_view kTaskFolder = "/task";
inline constexpr std::string_view kFixedFolder = "/fixed";  ///< Read-only, objects made before.
inline constexpr std::string_view kDataFolder = "/data";

/// Name of the compiled program in its output folder.
inline constexpr std::string_view kProgramName = "program";
/// Name of the precompiled header in its folder.
inline constexpr std::string_view kPchName = "candidate.pch";

/// The warm library, and the programs of a warm evaluator, in their sandboxes.
inline constexpr std::string_view kWarmFolder = "/warm";
inline constexpr std::string_view kWarmLibraryName = "libcambrian_warm.so";
inline constexpr std::string_view kEvaluatorTarget = "/evaluator";
inline constexpr std::string_view kHostTarget = "/candidate-host";

/// Bump it when a change of these command lines must not meet old cache entries.
inline constexpr std::string_view kCompileCommandVersion = "5";

/// Clang 19, or the machine's g++ (12 or later) where there is no Clang.
enum class Compiler { clang, gcc };

struct CompileOptions {
  Compiler compiler = Compiler::clang;
  bool libtorch = false;
  bool use_pch = false;
  /// LibTorch lies at /torch instead of /usr.
  bool own_torch = false;
  bool torch_cuda = false;
  std::vector<std::string> extra;
};

/// Makes the compiler name itself.
std::vector<std::string> compiler_version_command(Compiler compiler);

/// Compiles and links `sources` (relative to /src, or objects) to /out/program in one go.
std::vector<std::string> candidate_compile_command(const std::vector<std::string>& sources,
                                                   const CompileOptions& options);

/// Compiles one of them to /out/`object`, as the command above does on its way.
std::vector<std::string> candidate_object_command(const std::string& source,
                                                  const std::string& object,
                                                  const CompileOptions& options);

/// The same for a judge, whose sources lie in /task. `ready` names a source of the SDK instead.
std::vector<std::string> judge_compile_command(const JudgeSpec& judge,
                                               const CompileOptions& options);

/// Makes /out/libcambrian_warm.so: the SDK, and what candidates commonly use, compiled as
/// candidates are, that of LibTorch without inlining. What it misses is a candidate's entry.
std::vector<std::string> warm_library_command(const CompileOptions& options);

/// Starts a warm compiler, which is Clang: its flags are those of candidate_compile_command.
std::vector<std::string> evaluator_command(const CompileOptions& options);

/// Starts a host of candidates; `candidate` is empty for one that forks for each.
std::vector<std::string> candidate_host_command(const std::string& candidate);

/// Starts a host of Python candidates, with or without PyTorch imported.
std::vector<std::string> python_host_command(bool torch);

/// Environment of a running judge or candidate beyond what every sandbox has: thread counts,
/// because LibTorch with more threads than cores is many times slower, which kernels LibTorch,
/// OpenBLAS and oneDNN use (on x86-64 with AVX2 never later ones), and where Python finds the SDK.
std::vector<std::pair<std::string, std::string>> run_environment(int cpus);

/// Makes /out/candidate.pch from the SDK's header for candidates. Parsing it is most of a compile:
/// 20 s of LibTorch, 2 s of plain C++.
std::vector<std::string> pch_command(const CompileOptions& options);

}  // namespace cambrian::worker
