#pragma once

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/digest/sha256.hpp"
#include "worker/assembly.hpp"

namespace cambrian::worker::test {

/// A folder that lives as long as the test program: the cache, and data for judges beside it.
inline const std::filesystem::path& test_folder() {
  static const struct Folder {
    std::filesystem::path path = std::filesystem::temp_directory_path() /
                                 ("cambrian-worker-test-" + std::to_string(getpid()));
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() { std::filesystem::remove_all(path); }
  } folder;
  return folder.path;
}

/// What ${TEST_DATA} stands for in data paths.
inline std::string data_folder() { return (test_folder() / "data").string(); }

/// The same tests hold for both ways to build a candidate: CAMBRIAN_TEST_EVALUATOR names one.
inline EvaluatorPath evaluator_path() {
  const char* evaluator = std::getenv("CAMBRIAN_TEST_EVALUATOR");
  const bool is_warm = evaluator != nullptr && std::string_view(evaluator) == "warm";
  return is_warm ? EvaluatorPath::warm : EvaluatorPath::compile;
}

/// Everything of a worker, with a cache of its own.
inline Workshop& workshop() {
  // Made first, so that it goes last.
  const std::filesystem::path& folder = test_folder();
  static const auto opened = [&folder] {
    Places places;
    places.programs = CAMBRIAN_BINARY_DIR "/bin";
    places.sdk = CAMBRIAN_BINARY_DIR "/share/cambrian/sdk";
    places.cache = folder / "cache";
    places.data_paths = {{"TEST_DATA", data_folder()}};
    places.evaluator = evaluator_path();
    auto made = Workshop::open(places);
    if (made && places.evaluator == EvaluatorPath::warm) {
      CHECK((*made)->warm_templates()->wait_ready(WarmKind::cpp, std::chrono::minutes(5), {}));
    }
    return made;
  }();
  if (!opened) FAIL(opened.error().message);
  return **opened;
}

/// A task of a few files: `files` are the contents by path.
inline std::shared_ptr<Task> make_task(TaskManifest manifest,
                                       const std::map<std::string, std::string>& files) {
  auto task = std::make_shared<Task>();
  task->manifest = std::move(manifest);
  KeyDigest digest;
  for (const auto& [path, content] : files) {
    task->files.push_back({path, content, false});
    digest.add(path, content);
  }
  task->digest = digest.finish_hex();
  return task;
}

inline EvaluationResult evaluate(EvaluationRequest request) {
  if (request.parameters.empty()) request.parameters = request.task->manifest.parameters;
  auto result = workshop().evaluator().evaluate(request, {}, [](auto, auto) {});
  if (!result) FAIL(result.error().message);
  return *result;
}

}  // namespace cambrian::worker::test
