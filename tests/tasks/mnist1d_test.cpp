#include <catch2/catch_test_macros.hpp>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(CAMBRIAN_SOURCE_DIR) / "tasks/mnist1d";

}  // namespace

TEST_CASE("mnist1d: the four networks learn, in the order that was published",
          "[integration][tasks]") {
  const Task task = load_task(kFolder);
  const WorkFolder work;
  const Command judge = build_judge(task, work.path());
  const auto run = [&](const fs::path& source, double steps) {
    const WorkFolder own;
    Report report = evaluate(task, judge, build_candidate(task, source, own.path()),
                             {.parameters = {{"steps", steps}, {"train_seconds", 100}}});
    INFO(source << " " << report.diagnostics);
    REQUIRE(report.outcome == "success");
    report.metrics.erase("train_seconds");
    return report;
  };
  const Report logistic = run(kFolder / "seeds/logistic.cpp", 1000);
  const Report mlp = run({}, 1000);
  const Report cnn = run(kFolder / "seeds/cnn.cpp", 600);
  CHECK(logistic.metrics.at("parameters") == 410);
  CHECK(mlp.metrics.at("parameters") == 15210);
  CHECK(cnn.metrics.at("parameters") == 5210);
  CHECK(logistic.metrics.at("accuracy") > 0.2);
  CHECK(logistic.metrics.at("accuracy") < 0.45);
  CHECK(mlp.metrics.at("accuracy") > logistic.metrics.at("accuracy") + 0.1);
  CHECK(cnn.metrics.at("accuracy") > mlp.metrics.at("accuracy") + 0.05);
  const Report gru = run(kFolder / "seeds/gru.cpp", 20);
  CHECK(gru.metrics.at("parameters") == 5134);
  CHECK(run(kFolder / "seeds/logistic.cpp", 1000).metrics == logistic.metrics);
}

}  // namespace cambrian::tasks
