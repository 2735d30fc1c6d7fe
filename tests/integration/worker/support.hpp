#pragma once

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "common/digest/sha256.hpp"
#include "worker/assembly.hpp"

namespace cambrian::worker::test {

/// Everything of a worker, with a cache of its own that lives as long as the test program.
inline Workshop& workshop() {
  static const struct Folder {
    std::filesystem::path path = std::filesystem::temp_directory_path() /
                                 ("cambrian-worker-test-" + std::to_string(getpid()));
    ~Folder() { std::filesystem::remove_all(path); }
  } folder;
  static const auto opened = [] {
    Places places;
    places.programs = CAMBRIAN_BINARY_DIR "/bin";
    places.sdk = CAMBRIAN_BINARY_DIR "/share/cambrian/sdk";
    places.cache = folder.path;
    places.data_paths = {{"TEST_DATA", folder.path.string() + "-data"}};
    return Workshop::open(places);
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
