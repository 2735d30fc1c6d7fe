#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <fstream>

#include "common/digest/sha256.hpp"
#include "common/task/task_folder.hpp"

namespace cambrian::task {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = R"(api_version: cambrian/v1
kind: Task
name: sums
description: Add numbers.
language: cpp
candidate: {runtime: cpp, evolve: [sum.cpp]}
judge:
  sources: [judge/judge.cpp]
objectives: [{metric: error, goal: minimize}]
)";
constexpr const char* kSeed = "// EVOLVE-BLOCK-START\nint sum();\n// EVOLVE-BLOCK-END\n";

/// A task folder that goes away with the test.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "cambrian-task-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
    write("task.yaml", kManifest);
    write("seed/sum.cpp", kSeed);
    write("judge/judge.cpp", "int main() {}\n");
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string first_problem(const Folder& folder) {
  const Result<TaskReading> reading = read_task_folder(folder.path());
  if (!reading) return reading.error().message;
  return reading->document.is_ok() ? "none" : reading->document.problems().front().message;
}

TEST_CASE("load_task_folder: packs the files, sorted, without hidden ones", "[unit][task]") {
  const Folder folder;
  folder.write(".git/config", "x");
  folder.write("judge/__pycache__/a.pyc", "x");
  folder.write("README.md", "hello");
  fs::permissions(folder.path() / "README.md", fs::perms::owner_exec, fs::perm_options::add);
  const Result<LoadedTask> task = load_task_folder(folder.path());
  REQUIRE(task);
  REQUIRE(task->bundle.files_size() == 4);
  CHECK(task->bundle.files(0).path() == "README.md");
  CHECK(task->bundle.files(0).executable());
  CHECK(task->bundle.files(1).path() == "judge/judge.cpp");
  CHECK(task->bundle.files(2).path() == "seed/sum.cpp");
  CHECK(task->bundle.files(2).sha256() == sha256_hex(kSeed));
  CHECK(task->bundle.files(2).size_bytes() == static_cast<std::int64_t>(std::string(kSeed).size()));
  CHECK_FALSE(task->bundle.files(2).executable());
  CHECK(task->contents.at("seed/sum.cpp") == kSeed);
  CHECK(fs::exists(task->seed_path("sum.cpp")));
}

TEST_CASE("load_task_folder: the digest depends on content, not on place and time",
          "[unit][task]") {
  const Folder a;
  const Folder b;
  const auto digest = [](const Folder& folder) { return load_task_folder(folder.path())->digest; };
  CHECK(digest(a) == digest(b));
  // Fixed: a change of this value makes every stored task another one.
  CHECK(digest(a) == "50223f53a5735fcf97c0112dfb3e3c854b94d69ea0c997210b3c48b085b5d502");
  b.write("judge/judge.cpp", "int main() { }\n");
  CHECK(digest(a) != digest(b));
}

TEST_CASE("load_task_folder: accepts the name of the file and links inside", "[unit][task]") {
  const Folder folder;
  fs::create_symlink("judge.cpp", folder.path() / "judge" / "same.cpp");
  const Result<LoadedTask> task = load_task_folder(folder.path() / "task.yaml");
  REQUIRE(task);
  CHECK(task->contents.at("judge/same.cpp") == "int main() {}\n");
}

TEST_CASE("read_task_folder: refuses links that lead out", "[unit][task]") {
  const Folder folder;
  fs::create_symlink("/etc/hostname", folder.path() / "judge" / "host");
  CHECK(first_problem(folder) == "a link that leads out of the task folder: judge/host");
  fs::remove(folder.path() / "judge" / "host");
  fs::create_directory_symlink("/etc", folder.path() / "data");
  CHECK(first_problem(folder) == "a link that leads out of the task folder: data");
}

TEST_CASE("read_task_folder: says what is wrong with the files", "[unit][task]") {
  const Folder folder;
  folder.write("seed/sum.cpp", "int sum();\n");
  CHECK(first_problem(folder) == "seed/sum.cpp has no EVOLVE-BLOCK-START and EVOLVE-BLOCK-END");
  folder.write("seed/sum.cpp", "// EVOLVE-BLOCK-START\nint sum();\n");
  CHECK(first_problem(folder).starts_with("seed/sum.cpp: "));
  folder.write("seed/sum.cpp", kSeed + std::string(65536, ' '));
  CHECK(first_problem(folder) == "seed/sum.cpp is larger than limits.source_bytes (65536)");
  fs::rename(folder.path() / "seed/sum.cpp", folder.path() / "seed/sun.cpp");
  CHECK(first_problem(folder) == "no such file in the task folder: seed/sum.cpp");
  folder.write("seed/sum.cpp", kSeed);
  folder.write("a b.txt", "x");
  CHECK(first_problem(folder) == "a file name with characters that are not accepted: a b.txt");
}

TEST_CASE("read_task_folder: shows the line of a rule that is broken", "[unit][task]") {
  const Folder folder;
  folder.write("task.yaml", std::string(kManifest) + "limits:\n  memory_bytes: 1KiB\n");
  const Result<TaskReading> reading = read_task_folder(folder.path());
  REQUIRE(reading);
  CHECK(
      reading->document.render() ==
      "error: limits.memory_bytes is out of range\n  --> " +
          (folder.path() / "task.yaml").string() +
          ":11:17\n10 | limits:\n11 |   memory_bytes: 1KiB\n   |                 ^^^^ use 64MiB to "
          "1TiB\n");
  CHECK(load_task_folder(folder.path()).error().code == Errc::invalid_argument);
}

TEST_CASE("read_task_folder: a missing folder or task.yaml is not_found", "[unit][task]") {
  const Folder folder;
  CHECK(load_task_folder(folder.path() / "none").error().code == Errc::not_found);
  fs::remove(folder.path() / "task.yaml");
  CHECK(load_task_folder(folder.path()).error().code == Errc::not_found);
}

}  // namespace
}  // namespace cambrian::task
