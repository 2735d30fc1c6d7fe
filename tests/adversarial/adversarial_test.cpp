// Every source of cheats/, bombs/ and honest/ as a candidate of task/.
// CAMBRIAN_TEST_EVALUATOR=warm: by the warm evaluator.
#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "tests/integration/worker/support.hpp"

namespace {

namespace fs = std::filesystem;
using namespace cambrian::worker;
using namespace cambrian::worker::test;

const fs::path kFolder = CAMBRIAN_SOURCE_DIR "/tests/adversarial";

// Honest programs answer one half; the other half are the judge's secrets.
constexpr double kHonestScore = 0.5;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  if (!file) FAIL("no such file: " + path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

/// What must never be seen by a candidate, put where a worker has such things.
void plant_canaries() {
  setenv("CAMBRIAN_CANARY", "canary-environment", 1);
  write(fs::path(data_folder()) / "canary", "canary-data\n");
  write(test_folder() / "canary", "canary-file\n");
}

TaskManifest manifest_for(const std::string& extension) {
  TaskManifest manifest;
  manifest.name = "adversarial";
  if (extension == ".cpp") {
    manifest.candidate.runtime = Runtime::cpp;
  } else {
    manifest.candidate.runtime = Runtime::process;
    manifest.candidate.run = {"python3", "main.py"};
  }
  manifest.candidate.evolve = {"act" + extension};
  manifest.judge.sources = {"judge.cpp"};
  manifest.data = {{"canary", "${TEST_DATA}/canary", "", ""}};
  manifest.objectives = {{"score", 0, 1}};
  manifest.limits.run_time = std::chrono::seconds(10);
  manifest.limits.compile_time = std::chrono::seconds(30);
  manifest.limits.memory_bytes = 256 << 20;
  manifest.limits.disk_bytes = 64 << 20;
  manifest.limits.processes = 32;
  return manifest;
}

std::shared_ptr<Task> task_for(const std::string& extension) {
  const fs::path task = kFolder / "task";
  std::map<std::string, std::string> files = {{"judge.cpp", read(task / "judge.cpp")}};
  if (extension == ".cpp") {
    // By a compiler option it would not be compiled by the warm evaluator.
    files["seed/act.hpp"] = "#define CANARY_FILE \"" + (test_folder() / "canary").string() +
                            "\"\n" + read(task / "act.hpp");
    files["seed/program.cpp"] = read(task / "program.cpp");
  } else {
    files["seed/main.py"] = read(task / "main.py");
    files["seed/question.py"] = read(task / "question.py");
  }
  return make_task(manifest_for(extension), files);
}

EvaluationResult evaluate_source(const fs::path& path) {
  plant_canaries();
  const std::string extension = path.extension().string();
  EvaluationRequest request;
  request.task = task_for(extension);
  request.sources = {{"act" + extension, read(path)}};
  request.judge_secret = "what no candidate knows";
  return evaluate(request);
}

/// The outcomes that the first line of a source names.
std::vector<std::string> expected(const fs::path& path) {
  std::ifstream file(path);
  std::string mark, word, outcomes;
  if (!(file >> mark >> word >> outcomes) || word != "expect:") {
    FAIL("no expectation in the first line: " + path.string());
  }
  std::vector<std::string> list;
  std::istringstream parts(outcomes);
  for (std::string part; std::getline(parts, part, '|');) list.push_back(part);
  return list;
}

void check_nothing_leaked(const EvaluationResult& result) {
  const std::string said = result.log + result.diagnostics;
  CHECK(said.find("canary-") == std::string::npos);
  CHECK(said.find(test_folder().string()) == std::string::npos);
  CHECK(said.find(CAMBRIAN_BINARY_DIR) == std::string::npos);
  if (result.outcome == Outcome::success) {
    CHECK(result.metrics.at("leaked") == 0);
    CHECK(result.metrics.at("score") <= kHonestScore);
  } else {
    CHECK(result.metrics.empty());
  }
}

/// How many processes stand between this one and that one; 0 where that one is not below it.
int depth_below_us(pid_t process) {
  for (int depth = 1; process > 1; ++depth) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    process = 0;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("PPid:")) process = std::atoi(line.c_str() + 5);
    }
    if (process == getpid()) return depth;
  }
  return 0;
}

/// Nobody but the warm evaluator's own processes, each below a bubblewrap.
bool is_nobody_left() {
  const int depth_max = evaluator_path() == EvaluatorPath::warm ? 2 : 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    if (depth_below_us(std::atoi(entry.path().filename().c_str())) > depth_max) return false;
  }
  return true;
}

void check_all_is_as_before() {
  const EvaluationResult honest = evaluate_source(kFolder / "honest/plain.cpp");
  INFO(to_string(honest.outcome) << " " << honest.diagnostics << "\n" << honest.log);
  REQUIRE(honest.outcome == Outcome::success);
  // Whatever a candidate did to it, the warm evaluator is still there.
  CHECK(honest.path == evaluator_path());
  CHECK(honest.metrics.at("score") == kHonestScore);
  // The warm evaluator's forks say that they are gone a moment before they are.
  for (int i = 0; i < 100 && !is_nobody_left(); ++i) poll(nullptr, 0, 20);
  CHECK(is_nobody_left());
}

std::vector<fs::path> sources_of(const char* kind, std::size_t least) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(kFolder / kind)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  REQUIRE(paths.size() >= least);
  return paths;
}

std::string name_of(const fs::path& path) { return fs::relative(path, kFolder).string(); }

/// Runs all of a kind, each as a section of its own.
void run_all(const char* kind, std::size_t least) {
  for (const fs::path& path : sources_of(kind, least)) {
    DYNAMIC_SECTION(name_of(path)) {
      const EvaluationResult result = evaluate_source(path);
      const std::string outcome(to_string(result.outcome));
      INFO(name_of(path) << ": " << outcome << "\n" << result.diagnostics << "\n" << result.log);
      const std::vector<std::string> outcomes = expected(path);
      CHECK(std::count(outcomes.begin(), outcomes.end(), outcome) == 1);
      check_nothing_leaked(result);
      if (std::string(kind) == "honest") {
        REQUIRE(result.outcome == Outcome::success);
        if (path.extension() == ".cpp") CHECK(result.path == evaluator_path());
        CHECK(result.metrics.at("score") == kHonestScore);
      }
      check_all_is_as_before();
    }
  }
}

}  // namespace

TEST_CASE("adversarial: cheats get nothing", "[system]") { run_all("cheats", 30); }
TEST_CASE("adversarial: bombs harm nobody", "[system]") { run_all("bombs", 20); }
TEST_CASE("adversarial: honest tricks win", "[system]") { run_all("honest", 8); }
