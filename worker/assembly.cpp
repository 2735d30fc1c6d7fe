#include "worker/assembly.hpp"

#include <cstdlib>

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

fs::path cache_folder() {
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
    return fs::path(cache) / "cambrian/worker";
  }
  const std::string home = environment("HOME");
  return fs::path(home.empty() ? "/var/cache" : home + "/.cache") / "cambrian/worker";
}

}  // namespace

Places default_places() {
  Places places;
  std::error_code error;
  places.programs = fs::read_symlink("/proc/self/exe", error).parent_path();
  const std::string sdk = environment("CAMBRIAN_SDK");
  places.sdk = sdk.empty() ? places.programs.parent_path() / "share/cambrian/sdk" : fs::path(sdk);
  places.torch = environment("CAMBRIAN_TORCH");
  places.cache = cache_folder();
  return places;
}

Result<std::unique_ptr<Workshop>> Workshop::open(const Places& places) {
  SandboxProbe probe = probe_sandbox(places.programs);
  if (!probe.sandbox) {
    return fail(Errc::unavailable, "this machine cannot isolate candidates: " + probe.reason);
  }
  CAMBRIAN_TRY(auto cache, FolderCache::open(places.cache, places.cache_bytes));
  CAMBRIAN_TRY(auto toolchain, Toolchain::find({places.sdk, places.torch}, *probe.sandbox, *cache));
  std::unique_ptr<Workshop> workshop(
      new Workshop(std::move(probe), std::move(cache), std::move(toolchain), places));
  return workshop;
}

Workshop::Workshop(SandboxProbe probe, std::unique_ptr<FolderCache> cache,
                   std::unique_ptr<Toolchain> toolchain, const Places& places)
    : walls_(std::move(probe.walls)),
      sandbox_(std::move(probe.sandbox)),
      cache_(std::move(cache)),
      toolchain_(std::move(toolchain)),
      data_(places.data_paths),
      candidates_(*toolchain_, data_),
      judges_(*toolchain_, data_),
      evaluator_(candidates_, judges_, links_) {}

}  // namespace cambrian::worker
