#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <cmath>
#include <fstream>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

using Catch::Matchers::WithinAbs;
namespace fs = std::filesystem;

// y = 3x - 1 for x = 0, 1/4, 1/2, ... as NumPy files, for a user who brings data and no judge.
constexpr const char* kMakeData = R"(
import numpy, sys
kind = sys.argv[1]
for name, count in (("train", 100), ("test", 40)):
    x = numpy.arange(count, dtype=numpy.float64).reshape(count, 1) / 4
    y = 3 * x[:, 0] - 1 if kind == "regression" else (x[:, 0] * 4 % 3).astype(numpy.int64)
    numpy.save(name + "_inputs.npy", x)
    numpy.save(name + "_targets.npy", y)
)";

// Regression: least squares, and off by one in the mode `off`. Classification: knows the rule.
constexpr const char* kCandidate = R"(
import cambrian_sdk, numpy, sys, time
mode = sys.argv[1]
class Model:
    def train(self, data, training):
        x, y = data["inputs"], data["targets"]
        assert x.dtype == numpy.float32 and len(x) == 90
        if mode == "classes": return {"table": numpy.eye(3, dtype=numpy.float32)}
        a = numpy.hstack([x, numpy.ones_like(x)]).astype(numpy.float64)
        state = {"w": numpy.linalg.lstsq(a, y.astype(numpy.float64), rcond=None)[0]}
        one = numpy.zeros(1, numpy.uint8)
        if mode == "names": state.update((f"{i:0200}", one) for i in range(40))
        if mode == "empty": state["x" * 200] = numpy.zeros((7, 0, 11), numpy.uint8)
        return state
    def load(self, state):
        self.state = state
    def predict(self, x):
        if mode == "slow": time.sleep(1)
        if mode == "classes":
            return self.state["table"][numpy.rint(x[:, 0] * 4).astype(int) % 3]
        w = self.state["w"]
        return (x * w[0] + w[1] + (1 if mode == "off" else 0)).astype(numpy.float32)
cambrian_sdk.run_candidate(lambda setup: Model())
)";

Report run(const std::string& ready, const std::string& mode, const std::string& split) {
  const WorkFolder work;
  std::ofstream(work.path() / "make.py") << kMakeData;
  std::ofstream(work.path() / "model.py") << kCandidate;
  const std::string make = "cd " + work.path().string() + " && /usr/bin/python3 make.py " + ready;
  REQUIRE(std::system(make.c_str()) == 0);
  Task task;
  task.folder = work.path();
  task.judge_ready = ready;
  task.data["dataset"] = work.path();
  const Command judge = build_judge(task, work.path());
  Report report =
      evaluate(task, judge, {{"python3", "model.py", mode}, work.path()},
               {.split = split, .parameters = {{"predict_seconds", 3}, {"predict_batch", 10}}});
  return report;
}

Report run_well(const std::string& ready, const std::string& mode, const std::string& split) {
  Report report = run(ready, mode, split);
  INFO(report.diagnostics);
  REQUIRE(report.outcome == "success");
  return report;
}

}  // namespace

TEST_CASE("ready judges: regression scores NumPy data", "[integration][tasks]") {
  const Report exact = run_well("regression", "exact", "sealed");
  CHECK_THAT(exact.metrics.at("rmse"), WithinAbs(0, 1e-5));
  CHECK_THAT(exact.metrics.at("r_squared"), WithinAbs(1, 1e-6));
  // Two float64, as many bytes as four float32.
  CHECK(exact.metrics.at("parameters") == 4);
  const Report off = run_well("regression", "off", "validation");
  CHECK_THAT(off.metrics.at("rmse"), WithinAbs(1, 1e-5));
  CHECK_THAT(off.metrics.at("mae"), WithinAbs(1, 1e-5));
}

TEST_CASE("ready judges: there is one time for all predictions", "[integration][tasks]") {
  // Four batches of 1 s, each of which is within the time.
  const Report slow = run("regression", "slow", "sealed");
  INFO(slow.diagnostics);
  CHECK(slow.outcome == "timeout");
}

TEST_CASE("ready judges: what a state carries in names and shapes is counted or refused",
          "[integration][tasks]") {
  // 16 bytes of w, 40 tensors of four bytes at least, and 8001 of names, of which 86 are free.
  const Report named = run_well("regression", "names", "sealed");
  CHECK(named.metrics.at("parameters") == 2023);
  const Report empty = run("regression", "empty", "sealed");
  INFO(empty.diagnostics);
  CHECK(empty.outcome == "bad_output");
}

TEST_CASE("ready judges: classification scores NumPy data", "[integration][tasks]") {
  const Report report = run_well("classification", "classes", "sealed");
  CHECK(report.metrics.at("accuracy") == 1);
  CHECK(report.metrics.at("accuracy_standard_error") == 0);
  CHECK(report.metrics.at("parameters") == 9);
}

}  // namespace cambrian::tasks
