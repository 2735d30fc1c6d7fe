#include "worker/assembly.hpp"

#include <cstdlib>

#include "common/log/log.hpp"
#include "worker/adapters/nvml/nvml_watch.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// A folder of this user by the XDG rules; `in_home` and `otherwise` where the variable is not set.
fs::path user_folder(const char* variable, const char* in_home, const char* otherwise) {
  if (const std::string folder = environment(variable); !folder.empty()) return folder;
  const std::string home = environment("HOME");
  return home.empty() ? otherwise : home + in_home;
}

}  // namespace

Places default_places() {
  Places places;
  std::error_code error;
  places.programs = fs::read_symlink("/proc/self/exe", error).parent_path();
  const std::string sdk = environment("CAMBRIAN_SDK");
  places.sdk = sdk.empty() ? places.programs.parent_path() / "share/cambrian/sdk" : fs::path(sdk);
  places.torch = environment("CAMBRIAN_TORCH");
  places.cache = user_folder("XDG_CACHE_HOME", "/.cache", "/var/cache") / "cambrian/worker";
  places.judge_secret = environment("CAMBRIAN_JUDGE_SECRET");
  places.judge_secret_file =
      user_folder("XDG_DATA_HOME", "/.local/share", "/var/lib") / "cambrian/judge-secret";
  return places;
}

std::unique_ptr<GpuWatch> open_gpu_watch(const std::vector<std::string>& gpus) {
  if (gpus.empty()) return nullptr;
  auto watch = NvmlWatch::open(gpus);
  if (watch) return std::move(*watch);
  log::warn("gpu_watch_failed", {{"cause", watch.error().message}});
  return nullptr;
}

Result<std::unique_ptr<Workshop>> Workshop::open(const Places& places) {
  SandboxProbe probe = probe_sandbox(places.programs);
  if (!probe.sandbox) {
    return fail(Errc::unavailable, "this machine cannot isolate candidates: " + probe.reason);
  }
  CAMBRIAN_TRY(auto cache, FolderCache::open(places.cache, places.cache_bytes));
  CAMBRIAN_TRY(auto toolchain,
               Toolchain::find({places.sdk, places.torch, places.programs, places.compiler},
                               *probe.sandbox, *cache));
  std::unique_ptr<Workshop> workshop(
      new Workshop(std::move(probe), std::move(cache), std::move(toolchain), places));
  return workshop;
}

std::int64_t Workshop::room_wanted() const {
  return toolchain_->has_libtorch() ? kTorchPchBytes : kCompileDiskBytes;
}

Workshop::Workshop(SandboxProbe probe, std::unique_ptr<FolderCache> cache,
                   std::unique_ptr<Toolchain> toolchain, const Places& places)
    : walls_(std::move(probe.walls)),
      sandbox_(std::move(probe.sandbox)),
      cache_(std::move(cache)),
      toolchain_(std::move(toolchain)),
      data_(places.data_paths),
      candidates_(*toolchain_, data_),
      warm_(places.evaluator == EvaluatorPath::warm
                ? std::make_unique<WarmCandidates>(*toolchain_, data_, candidates_, places.programs)
                : nullptr),
      judges_(*toolchain_, data_),
      warm_judges_(warm_ ? std::make_unique<WarmJudges>(warm_->templates(), judges_) : nullptr),
      evaluator_(*sandbox_, warm_ ? static_cast<CandidateRuntime&>(*warm_) : candidates_,
                 warm_ ? static_cast<JudgeRuntime&>(*warm_judges_) : judges_, links_) {}

}  // namespace cambrian::worker
