#include "worker/adapters/toolchain/fixed_objects.hpp"

#include <algorithm>

#include "common/digest/sha256.hpp"

namespace cambrian::worker {
namespace {

namespace fs = std::filesystem;

bool is_source(const FileToWrite& file) { return file.path.ends_with(".cpp"); }

// Names in the folder: paths may repeat in several folders, places do not.
std::string object_name(std::size_t place) { return std::to_string(place) + ".o"; }

std::vector<FileToWrite> fixed_files(const EvaluationRequest& request,
                                     const std::vector<FileToWrite>& files) {
  const auto& evolve = request.task->manifest.candidate.evolve;
  std::vector<FileToWrite> fixed;
  std::ranges::copy_if(files, std::back_inserter(fixed), [&evolve](const FileToWrite& file) {
    return std::ranges::find(evolve, file.path) == evolve.end();
  });
  return fixed;
}

std::string key_of(const std::vector<FileToWrite>& fixed, const CompileOptions& options,
                   const BuildJob& job, const std::string& toolchain) {
  KeyDigest key;
  key.add("toolchain", toolchain);
  key.add("libtorch", options.libtorch ? "1" : "0");
  for (const std::string& option : options.extra) key.add("option", option);
  for (const fs::path& path : job.hidden) key.add("hidden", path.string());
  for (const FileToWrite& file : fixed) key.add("file " + file.path, *file.content);
  return "fixed-" + key.finish_hex();
}

// One folder with all objects; without any where a source does not compile by itself, which is so
// for every variant. None where that is not certain.
Result<std::optional<CachedFolder>> make_objects(Toolchain& toolchain,
                                                 const std::vector<FileToWrite>& fixed,
                                                 const std::string& key,
                                                 const CompileOptions& options, BuildJob job,
                                                 std::stop_token stop) {
  CAMBRIAN_TRY(const ScratchFolder scratch, toolchain.cache().make_scratch());
  CAMBRIAN_TRY(const fs::path sources, Toolchain::write_sources(scratch, fixed));
  CAMBRIAN_TRY(const fs::path output, Toolchain::make_output(scratch));
  job.working_folder = kSourceFolder;
  job.mounts.push_back({sources, std::string(kSourceFolder), false});
  job.mounts.push_back({output, std::string(kOutputFolder), true});
  for (std::size_t i = 0; i < fixed.size(); ++i) {
    if (!is_source(fixed[i])) continue;
    job.command = candidate_object_command(fixed[i].path, object_name(i), options);
    CAMBRIAN_TRY(const BuildRun run, toolchain.run(job, stop));
    if (!run.is_ok && run.failure != Outcome::compile_error) return std::nullopt;
    if (run.is_ok && built_file_size(output, object_name(i))) continue;
    CAMBRIAN_TRY(const ScratchFolder other, toolchain.cache().make_scratch());
    CAMBRIAN_TRY(const fs::path nothing, Toolchain::make_output(other));
    CAMBRIAN_TRY(CachedFolder marked, toolchain.cache().insert(key, nothing));
    return std::optional(std::move(marked));
  }
  CAMBRIAN_TRY(CachedFolder made, toolchain.cache().insert(key, output));
  return std::optional(std::move(made));
}

Result<std::optional<CachedFolder>> find_objects(Toolchain& toolchain,
                                                 const std::vector<FileToWrite>& fixed,
                                                 const CompileOptions& options, BuildJob job,
                                                 std::stop_token stop) {
  if (std::ranges::none_of(fixed, is_source)) return std::nullopt;
  const std::string key = key_of(fixed, options, job, toolchain.digest());
  if (auto found = toolchain.cache().find(key)) return found;
  CAMBRIAN_TRY(const Descriptor lock, toolchain.cache().lock(key, stop));
  if (auto found = toolchain.cache().find(key)) return found;
  return make_objects(toolchain, fixed, key, options, std::move(job), stop);
}

}  // namespace

Result<CompileInputs> compile_fixed(Toolchain& toolchain, const EvaluationRequest& request,
                                    const std::vector<FileToWrite>& files,
                                    const CompileOptions& options, BuildJob job,
                                    std::stop_token stop) {
  const std::vector<FileToWrite> fixed = fixed_files(request, files);
  CompileInputs result;
  CAMBRIAN_TRY(result.objects, find_objects(toolchain, fixed, options, std::move(job), stop));
  std::error_code error;
  if (result.objects && fs::is_empty(result.objects->path(), error)) result.objects.reset();
  for (const FileToWrite& file : files) {
    if (!is_source(file)) continue;
    const auto place = std::ranges::find(fixed, file.path, &FileToWrite::path);
    if (!result.objects || place == fixed.end()) {
      result.inputs.push_back(file.path);
    } else {
      const auto index = static_cast<std::size_t>(place - fixed.begin());
      result.inputs.push_back(std::string(kFixedFolder) + "/" + object_name(index));
    }
  }
  return result;
}

}  // namespace cambrian::worker
