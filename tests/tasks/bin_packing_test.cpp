#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <fstream>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

using Catch::Matchers::WithinAbs;
namespace fs = std::filesystem;

const fs::path kFolder = fs::path(CAMBRIAN_SOURCE_DIR) / "tasks/online-bin-packing";

// The task and its judge, compiled once for all cases.
struct Fixture {
  Task task = load_task(kFolder);
  WorkFolder work;
  Command judge = build_judge(task, work.path());

  Report run(const fs::path& source, const Request& request) const {
    const WorkFolder own;
    return evaluate(task, judge, build_candidate(task, source, own.path()), request);
  }
  Report run_hostile(const std::string& mode, const Request& request) const {
    const Command candidate{{CAMBRIAN_BINARY_DIR "/tests/hostile_candidate", mode}, work.path()};
    return evaluate(task, judge, candidate, request);
  }
};

const Fixture& fixture() {
  static const Fixture instance;
  return instance;
}

fs::path write_priority(const fs::path& folder, const std::string& body) {
  fs::path file = folder / "priority.cpp";
  std::ofstream(file) << "#include \"priority.hpp\"\n#include <cmath>\n#include <stdexcept>\n"
                      << "std::vector<double> priority(double item, const std::vector<double>& "
                         "bins) {\n  (void)item; (void)bins;\n"
                      << body << "\n}\n";
  return file;
}

}  // namespace

TEST_CASE("online-bin-packing: repeats the published numbers of Weibull 5k",
          "[integration][tasks]") {
  Request request;
  request.parameters["instances"] = 40;
  // The published values are means over 5 instances, whose standard error is 0.08; ours is 0.03.
  const auto first_fit = fixture().run({}, request);
  INFO(first_fit.diagnostics);
  REQUIRE(first_fit.outcome == "success");
  CHECK_THAT(first_fit.metrics.at("excess_percent"), WithinAbs(4.23, 0.2));
  const auto best_fit = fixture().run(kFolder / "seeds/best_fit.cpp", request);
  REQUIRE(best_fit.outcome == "success");
  CHECK_THAT(best_fit.metrics.at("excess_percent"), WithinAbs(3.98, 0.2));
  const auto funsearch = fixture().run(kFolder / "seeds/funsearch_weibull.cpp", request);
  REQUIRE(funsearch.outcome == "success");
  CHECK_THAT(funsearch.metrics.at("excess_percent"), WithinAbs(0.68, 0.15));
}

TEST_CASE("online-bin-packing: the same seed gives the same result", "[integration][tasks]") {
  const WorkFolder own;
  const Command candidate = build_candidate(fixture().task, {}, own.path());
  const auto run = [&](std::uint64_t seed, const std::string& split) {
    return evaluate(fixture().task, fixture().judge, candidate,
                    {.seed = seed, .split = split, .parameters = {{"items", 500}}});
  };
  const Report report = run(7, "validation");
  REQUIRE(report.outcome == "success");
  CHECK(run(7, "validation").metrics == report.metrics);
  CHECK(run(7, "validation").behaviour_digest == report.behaviour_digest);
  CHECK(run(8, "validation").behaviour_digest != report.behaviour_digest);
  CHECK(run(7, "sealed").behaviour_digest != report.behaviour_digest);
}

TEST_CASE("online-bin-packing: names what a priority function does wrong", "[integration][tasks]") {
  const WorkFolder own;
  const Request request{.parameters = {{"items", 50}}};
  const auto outcome = [&](const std::string& body) {
    const Report report = fixture().run(write_priority(own.path(), body), request);
    INFO(report.diagnostics);
    return report.outcome;
  };
  CHECK(outcome("return std::vector<double>(bins.size(), std::nan(\"\"));") == "not_finite");
  CHECK(outcome("return std::vector<double>(bins.size(), -INFINITY);") == "not_finite");
  CHECK(outcome("return {};") == "crash");
  CHECK(outcome("throw std::runtime_error(\"no\");") == "crash");
  CHECK(outcome("std::abort();") == "crash");
}

TEST_CASE("online-bin-packing: a silent candidate times out", "[integration][tasks]") {
  const Report report = fixture().run_hostile("silent", {.run_time = std::chrono::seconds(2)});
  CHECK(report.outcome == "timeout");
  CHECK(report.duration < std::chrono::seconds(10));
}

TEST_CASE("online-bin-packing: hostile answers get a name and no score", "[integration][tasks]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"exit", "crash"},
      {"abort", "crash"},
      {"half_frame", "crash"},
      {"score", "crash"},
      {"wrong_shape", "bad_output"},
      {"wrong_type", "bad_output"},
      {"magic", "bad_output"},
      {"huge_payload", "bad_output"},
      {"huge_json", "bad_output"},
      {"not_json", "bad_output"},
      {"half_pair", "bad_output"},
      {"endless_step", "bad_output"},
      {"impossible_shape", "bad_output"},
      {"surplus", "bad_output"},
      {"descriptor", "bad_output"}};
  for (const auto& [mode, outcome] : cases) {
    const Report report = fixture().run_hostile(mode, {});
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == outcome);
    CHECK(report.metrics.empty());
  }
}

TEST_CASE("online-bin-packing: a bad parameter is our failure, not the candidate's",
          "[integration][tasks]") {
  const Report report = fixture().run({}, {.parameters = {{"items", -1}}});
  CHECK(report.outcome == "infrastructure");
  CHECK(report.diagnostics.find("parameter out of range: items") != std::string::npos);
}

}  // namespace cambrian::tasks
