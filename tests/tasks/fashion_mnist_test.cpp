#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

using Catch::Matchers::WithinAbs;

const std::filesystem::path kFolder =
    std::filesystem::path(CAMBRIAN_SOURCE_DIR) / "tasks/fashion-mnist";

// The task with its ready judge, compiled once for all cases.
struct Fixture {
  Task task = load_task(kFolder);
  WorkFolder work;
  Command judge = build_judge(task, work.path());

  Report run(const std::string& program, const std::string& mode, const Request& request) const {
    const Command candidate{{CAMBRIAN_BINARY_DIR "/tests/" + program, mode}, work.path()};
    return evaluate(task, judge, candidate, request);
  }
};

const Fixture& fixture() {
  static const Fixture instance;
  return instance;
}

}  // namespace

TEST_CASE("fashion-mnist: the seed learns, and equal seeds learn the same",
          "[integration][tasks]") {
  const WorkFolder own;
  const Command candidate = build_candidate(fixture().task, {}, own.path());
  // Counted in steps, so that the result does not depend on the machine's load.
  const auto run = [&](std::uint64_t seed) {
    Report report = evaluate(fixture().task, fixture().judge, candidate,
                             {.seed = seed, .parameters = {{"steps", 300}, {"train_seconds", 60}}});
    INFO(report.diagnostics);
    REQUIRE(report.outcome == "success");
    report.metrics.erase("train_seconds");
    return report;
  };
  const Report report = run(3);
  CHECK(report.metrics.at("accuracy") > 0.3);
  CHECK(report.metrics.at("accuracy") < 0.8);
  CHECK(report.metrics.at("steps") == 300);
  CHECK(report.metrics.at("parameters") == 784 * 10 + 10 + 10 * 10 + 10);
  CHECK(std::ranges::count(report.events, "ready") == 2);
  CHECK(std::ranges::count(report.events, "first_step") == 1);
  CHECK(std::ranges::count(report.events, "trained") == 1);
  CHECK(run(3).metrics == report.metrics);
  CHECK(run(3).behaviour_digest == report.behaviour_digest);
  CHECK(run(4).behaviour_digest != report.behaviour_digest);
}

TEST_CASE("fashion-mnist: the judge measures a known classifier right", "[integration][tasks]") {
  // Nearest class means have 0.677 on the test file (fitted to all 60,000 pictures).
  const Report sealed = fixture().run("scripted_candidate", "honest", {.split = "sealed"});
  INFO(sealed.diagnostics);
  REQUIRE(sealed.outcome == "success");
  CHECK_THAT(sealed.metrics.at("accuracy"), WithinAbs(0.677, 0.005));
  CHECK(sealed.metrics.at("parameters") == 7840);
  CHECK_THAT(sealed.metrics.at("accuracy_standard_error"), WithinAbs(0.0047, 0.0001));
  const Report validation = fixture().run("scripted_candidate", "honest", {});
  CHECK_THAT(validation.metrics.at("accuracy"), WithinAbs(0.677, 0.025));
  CHECK(validation.behaviour_digest != sealed.behaviour_digest);
}

TEST_CASE("fashion-mnist: names what a model does wrong", "[integration][tasks]") {
  const Request request{.parameters = {{"train_seconds", 1}, {"grace_seconds", 2}}};
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nan", "not_finite"}, {"infinity", "not_finite"}, {"transposed", "bad_output"},
      {"few", "bad_output"}, {"misnamed", "bad_output"}, {"train_throws", "crash"},
      {"late", "timeout"}};
  for (const auto& [mode, outcome] : cases) {
    const Report report = fixture().run("scripted_candidate", mode, request);
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == outcome);
    CHECK(report.metrics.empty());
    CHECK(report.duration < std::chrono::seconds(20));
  }
}

TEST_CASE("fashion-mnist: hostile answers get a name and no score", "[integration][tasks]") {
  const Request request{.parameters = {{"train_seconds", 1}}};
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"exit", "crash"},         {"silent", "timeout"},         {"magic", "bad_output"},
      {"surplus", "bad_output"}, {"wrong_shape", "bad_output"}, {"huge_payload", "bad_output"}};
  for (const auto& [mode, outcome] : cases) {
    const Report report = fixture().run("hostile_candidate", mode, request);
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == outcome);
    CHECK(report.metrics.empty());
  }
}

TEST_CASE("fashion-mnist: missing data are our failure, with the path", "[integration][tasks]") {
  Task task = fixture().task;
  task.data["dataset"] = "/nonexistent/folder";
  const Command candidate{{CAMBRIAN_BINARY_DIR "/tests/scripted_candidate", "honest"}, "/"};
  const Report report = evaluate(task, fixture().judge, candidate, {});
  CHECK(report.outcome == "infrastructure");
  CHECK(report.diagnostics.find("train-images-idx3-ubyte") != std::string::npos);
}

}  // namespace cambrian::tasks
