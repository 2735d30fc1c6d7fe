#include "worker/adapters/toolchain/toolchain.hpp"

#include <gnu/libc-version.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

#include "common/digest/sha256.hpp"
#include "common/log/log.hpp"
#include "worker/adapters/toolchain/installed.hpp"
#include "worker/evaluation/verdict.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPchTime(600);
// 17 MB by Clang; g++ makes larger ones.
constexpr std::int64_t kPlainPchBytes = std::int64_t{256} << 20;
// They compile and run candidates, too.
constexpr std::array kWarmPrograms = {"cambrian-evaluator", "cambrian-candidate-host"};

// LibTorch's version from its own header; empty where there is none.
std::string torch_version(const fs::path& prefix) {
  constexpr std::string_view kDefine = "#define TORCH_VERSION_";
  std::ifstream file(prefix / "include/torch/csrc/api/include/torch/version.h");
  std::string version;
  for (std::string line; std::getline(file, line);) {
    // Major, minor and patch, in this order.
    if (!line.starts_with(kDefine)) continue;
    version += (version.empty() ? "" : ".") + line.substr(line.rfind(' ') + 1);
  }
  return version;
}

// A compiler that crashes prints its own stack, which helps nobody who wrote the source.
std::string without_stack(const std::string& text) {
  return text.substr(0, text.find("PLEASE submit a bug report"));
}

// "Debian clang version 19.1.7", "gcc version 14.2.0": in what a compiler says of itself, the first
// line of Clang and the last of g++.
std::string version_line(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" version ") != std::string::npos) return line;
  }
  return "unknown compiler";
}

}  // namespace

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<std::unique_ptr<Toolchain>> Toolchain::find(Options options, Sandbox& sandbox,
                                                   FolderCache& cache) {
  std::error_code error;
  const fs::path sdk = fs::canonical(options.sdk, error);
  if (error || !fs::exists(sdk / "include/cambrian/candidate.hpp")) {
    return fail(Errc::unavailable, "SDK for tasks is missing: folder=" + options.sdk.string() +
                                       " (--sdk or CAMBRIAN_SDK names another)");
  }
  options.sdk = sdk;
  std::unique_ptr<Toolchain> toolchain(new Toolchain(std::move(options), sandbox, cache));
  CAMBRIAN_TRY_STATUS(toolchain->look());
  return toolchain;
}

// Which one there is, and what it says of itself.
Result<std::string> Toolchain::look_at_compiler() {
  std::vector<Compiler> wanted = {Compiler::clang, Compiler::gcc};
  if (options_.compiler) wanted = {*options_.compiler};
  std::string why;
  for (const Compiler compiler : wanted) {
    SandboxCommand version;
    version.profile = SandboxProfile::compile;
    version.arguments = compiler_version_command(compiler);
    version.wall_time = std::chrono::seconds(30);
    CAMBRIAN_TRY(const auto ended, run_to_end(sandbox_, version, {}));
    compiler_ = compiler;
    if (ended.first.exit_code == 0) return ended.second;
    why += " " + version.arguments[0] + " " + describe_exit(ended.first) + ";";
  }
  return fail(Errc::unavailable,
              "compiler is missing: apt-get install clang-19 (or g++, which is slower):" + why);
}

Status Toolchain::look() {
  CAMBRIAN_TRY(const std::string compiler, look_at_compiler());
  const fs::path prefix = options_.torch.empty() ? "/usr" : options_.torch;
  const std::string torch = torch_version(prefix);
  has_libtorch_ = !torch.empty() && fs::exists(options_.sdk / "lib/libcambrian_torch_candidate.a");
  has_cuda_ = has_libtorch_ && (fs::exists(prefix / "lib/libtorch_cuda.so") ||
                                fs::exists("/usr/lib/x86_64-linux-gnu/libtorch_cuda.so"));
  versions_ = version_line(compiler) + "; glibc " + gnu_get_libc_version();
  if (has_libtorch_) versions_ += "; LibTorch " + torch + (has_cuda_ ? " with CUDA" : "");
  KeyDigest key;
  key.add("commands", kCompileCommandVersion);
  key.add("compiler", compiler);
  key.add("versions", versions_);
  key.add("packages", package_versions());
  if (!options_.torch.empty()) {
    key.add("torch", options_.torch.string() + "\n" + library_files(options_.torch / "lib"));
  }
  for (const char* program : kWarmPrograms) {
    key.add(program, read_file(options_.programs / program));
  }
  CAMBRIAN_TRY_STATUS(add_sdk(key));
  digest_ = key.finish_hex();
  return {};
}

Status Toolchain::add_sdk(KeyDigest& key) const {
  std::vector<fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator at(options_.sdk, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    // Compiled Python follows from its source, but not to the byte.
    if (at->path().extension() == ".pyc") continue;
    if (at->is_regular_file(error)) files.push_back(at->path());
  }
  if (error) return fail(Errc::unavailable, "SDK is not readable: " + error.message());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    key.add(fs::relative(file, options_.sdk).string(), read_file(file));
  }
  return {};
}

std::vector<Mount> Toolchain::mounts() const {
  std::vector<Mount> mounts = {{options_.sdk, std::string(kSdkFolder), false}};
  if (!options_.torch.empty()) mounts.push_back({options_.torch, std::string(kTorchFolder), false});
  return mounts;
}

CompileOptions Toolchain::compile_options(bool libtorch) const {
  CompileOptions options;
  options.compiler = compiler_;
  options.libtorch = libtorch;
  options.own_torch = !options_.torch.empty();
  options.torch_cuda = has_cuda_;
  return options;
}

Result<BuildRun> Toolchain::run(const BuildJob& job, std::stop_token stop) {
  CAMBRIAN_TRY_STATUS(cache_.check_room(job.output_bytes));
  SandboxCommand command;
  command.profile = SandboxProfile::compile;
  command.arguments = job.command;
  command.working_folder = job.working_folder;
  command.mounts = job.mounts;
  command.hidden = job.hidden;
  command.wall_time = job.time;
  // The linker works with several threads.
  command.cpu_time = std::chrono::duration_cast<std::chrono::seconds>(2 * job.time);
  command.memory_bytes = job.memory_bytes;
  command.disk_bytes = job.output_bytes;
  command.log_bytes = kCompileLogBytes;
  command.processes = kCompileProcesses;
  command.confined_to = job.cores;
  command.environment = {{"PYTHONPATH", std::string(kSdkFolder) + "/python"}};
  CAMBRIAN_TRY(const auto ended, run_to_end(sandbox_, command, stop));
  if (!ended.first.was_started && !ended.first.is_program_unusable) {
    return fail(Errc::internal, "sandbox for a build did not start: " + ended.first.failure);
  }
  BuildRun built = conclude(ended.first, ended.second);
  // What failed for want of room says nothing about the sources.
  if (!built.is_ok) CAMBRIAN_TRY_STATUS(cache_.check_room(job.output_bytes));
  return built;
}

BuildRun Toolchain::conclude(const ProcessExit& exit, const std::string& output) {
  BuildRun run;
  run.cpu_time = exit.cpu_time;
  run.is_ok = exit.exit_code == 0 && !exit.is_disk_full;
  if (run.is_ok) return run;
  run.failure = exit.is_disk_full ? Outcome::resource_exceeded : classify_build_failure(exit);
  std::string text = scrub_paths(
      without_stack(sanitise(output)),
      {std::string(kSourceFolder), std::string(kOutputFolder), std::string(kTaskFolder), "/tmp"});
  if (run.failure != Outcome::compile_error || exit.signal || exit.is_program_unusable) {
    text = "the build " + describe_exit(exit) + ": " + std::string(to_string(run.failure)) + "\n" +
           text;
  }
  run.diagnostics = shorten(text, kDiagnosticsBytesMax);
  return run;
}

Result<CachedFolder> Toolchain::precompiled_header(const CompileOptions& options,
                                                   std::stop_token stop) {
  return make_once("pch", options, pch_command(options), stop);
}

Result<CachedFolder> Toolchain::warm_library(const CompileOptions& options, std::stop_token stop) {
  return make_once("warm", options, warm_library_command(options), stop);
}

std::optional<CachedFolder> Toolchain::find_warm_library(const CompileOptions& options) {
  return cache_.find(shared_key("warm", options));
}

std::string Toolchain::shared_key(const std::string& kind, const CompileOptions& options) const {
  KeyDigest digest;
  digest.add("toolchain", digest_);
  digest.add("libtorch", options.libtorch ? "1" : "0");
  for (const std::string& option : options.extra) digest.add("option", option);
  return kind + "-" + digest.finish_hex();
}

Result<CachedFolder> Toolchain::make_once(const std::string& kind, const CompileOptions& options,
                                          std::vector<std::string> command, std::stop_token stop) {
  const std::string key = shared_key(kind, options);
  if (auto found = cache_.find(key)) return std::move(*found);
  CAMBRIAN_TRY(const Descriptor lock, cache_.lock(key, stop));
  if (auto found = cache_.find(key)) return std::move(*found);

  log::info("shared_build_started",
            {{"kind", kind}, {"seconds_expected", options.libtorch ? 25 : 2}});
  const auto begun = std::chrono::steady_clock::now();
  CAMBRIAN_TRY(const ScratchFolder scratch, cache_.make_scratch());
  CAMBRIAN_TRY(const fs::path output, make_output(scratch));
  BuildJob job{std::move(command), "/tmp", mounts(), kPchTime};
  job.mounts.push_back({output, std::string(kOutputFolder), true});
  job.output_bytes = options.libtorch ? kTorchPchBytes : kPlainPchBytes;
  CAMBRIAN_TRY(const BuildRun built, run(job, stop));
  if (!built.is_ok) {
    return fail(Errc::internal, kind + " for candidates was not built: " + built.diagnostics);
  }
  CAMBRIAN_TRY(CachedFolder folder, cache_.insert(key, output));
  log::info("shared_build_made",
            {{"kind", kind}, {"duration_ms", std::chrono::steady_clock::now() - begun}});
  return folder;
}

Result<fs::path> Toolchain::write_sources(const ScratchFolder& scratch,
                                          const std::vector<FileToWrite>& files) {
  const fs::path folder = scratch.path() / "src";
  CAMBRIAN_TRY_STATUS(write_files(folder, files));
  return folder;
}

Result<fs::path> Toolchain::make_output(const ScratchFolder& scratch) {
  const fs::path folder = scratch.path() / "out";
  CAMBRIAN_TRY_STATUS(write_files(folder, {}));
  return folder;
}

}  // namespace cambrian::worker
