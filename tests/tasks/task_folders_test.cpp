#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "common/task/task_folder.hpp"

namespace cambrian {

TEST_CASE("tasks: every shipped task folder passes the strict reader", "[unit][tasks]") {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CAMBRIAN_SOURCE_DIR "/tasks")) {
    if (!entry.is_directory()) continue;
    const auto task = task::load_task_folder(entry.path());
    INFO(entry.path());
    if (!task) FAIL(task.error());
    ++count;
    const spec::v1::TaskManifest& manifest = task->bundle.manifest();
    CHECK(manifest.name() == entry.path().filename());
    CHECK(task->contents.contains("README.md"));
    for (const std::string& evolve : manifest.candidate().evolve()) {
      const std::string& source = task->contents.at("seed/" + evolve);
      CHECK(source.find("EVOLVE-BLOCK-START") != std::string::npos);
      CHECK(source.find("EVOLVE-BLOCK-END") != std::string::npos);
    }
  }
  CHECK(count >= 5);
}

}  // namespace cambrian
