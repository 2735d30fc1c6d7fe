#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/base/result.hpp"
#include "worker/adapters/judge/frame_link.hpp"
#include "worker/adapters/sandbox/probe.hpp"
#include "worker/adapters/toolchain/compiled_candidate.hpp"
#include "worker/adapters/toolchain/compiled_judge.hpp"
#include "worker/adapters/toolchain/warm_candidate.hpp"
#include "worker/adapters/toolchain/warm_judge.hpp"
#include "worker/app/evaluator.hpp"
#include "worker/ports/gpu_watch.hpp"

namespace cambrian::worker {

/// Where things lie on this machine.
struct Places {
  std::filesystem::path programs;  ///< Folder of this program and of cambrian-sandbox-init.
  std::filesystem::path sdk;
  std::filesystem::path torch;  ///< Empty: LibTorch of /usr.
  std::filesystem::path cache;
  std::int64_t cache_bytes = std::int64_t{4} << 30;
  std::map<std::string, std::string> data_paths;
  std::string judge_secret;  ///< For evaluations without a coordinator. Empty: that of the file.
  std::filesystem::path judge_secret_file;
  /// How candidates are built: by the compiler, or by warm evaluators where they can.
  EvaluatorPath evaluator = EvaluatorPath::compile;
  std::optional<Compiler> compiler;  ///< Not set: Clang, or g++ where there is no Clang.
};

/// The folder of this program, and the places beside it that are not named otherwise: the SDK
/// (CAMBRIAN_SDK), LibTorch (CAMBRIAN_TORCH), the cache (XDG_CACHE_HOME), the secret for judges
/// (CAMBRIAN_JUDGE_SECRET, or a file below XDG_DATA_HOME).
Places default_places();

/// A watch over these GPUs. Null where there are none, or with a line in the log where the driver's
/// library is missing or does not answer: tasks that limit memory of GPUs are refused then.
std::unique_ptr<GpuWatch> open_gpu_watch(const std::vector<std::string>& gpus);

/// Everything that an evaluation needs, put together. The only place that knows concrete types.
class Workshop {
 public:
  /// Errors: unavailable with the cause and what mends it when this machine cannot isolate
  /// candidates or lacks the compiler.
  static Result<std::unique_ptr<Workshop>> open(const Places& places);

  Evaluator& evaluator() { return evaluator_; }
  Toolchain& toolchain() { return *toolchain_; }
  /// Null without warm evaluators.
  WarmTemplates* warm_templates() { return warm_ ? &warm_->templates() : nullptr; }
  SandboxLevel sandbox_level() const { return sandbox_->level(); }
  /// Watches memory of GPUs from now on. Not owned: it must outlive the workshop.
  void set_gpu_watch(GpuWatch* watch) { sandbox_->set_gpu_watch(watch); }
  /// Bytes that must be free for the cache, so that every compile has room.
  std::int64_t room_wanted() const;
  /// Errors: exhausted, with the folder, when less than `room_wanted` is free.
  Status check_room() const { return cache_->check_room(room_wanted()); }
  /// What was found to hold, for people.
  const std::vector<std::string>& sandbox_walls() const { return walls_; }

 private:
  Workshop(SandboxProbe probe, std::unique_ptr<FolderCache> cache,
           std::unique_ptr<Toolchain> toolchain, const Places& places);

  std::vector<std::string> walls_;
  std::unique_ptr<BubblewrapSandbox> sandbox_;
  std::unique_ptr<FolderCache> cache_;
  std::unique_ptr<Toolchain> toolchain_;
  DataSources data_;
  CompiledCandidates candidates_;
  std::unique_ptr<WarmCandidates> warm_;
  CompiledJudges judges_;
  std::unique_ptr<WarmJudges> warm_judges_;
  FrameLinks links_;
  Evaluator evaluator_;
};

}  // namespace cambrian::worker
