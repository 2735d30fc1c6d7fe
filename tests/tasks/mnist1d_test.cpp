#include <catch2/catch_test_macros.hpp>

#include <fstream>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(CAMBRIAN_SOURCE_DIR) / "tasks/mnist1d";

// Fills memory with NaN and gives it back before it trains: what comes next must not find it.
constexpr const char* kDirty = R"(
#include <cambrian/torch_candidate.hpp>
struct Net : torch::nn::Module {
  torch::nn::Linear layer = register_module("layer", torch::nn::Linear(40, 10));
  torch::Tensor forward(torch::Tensor inputs) { return layer->forward(inputs); }
};
void train(Net&, const cambrian::Data&, cambrian::Training&) {
  for (const int64_t size : {8, 200, 6144, 100000}) {
    { torch::full({size}, std::nanf("")); }
    if (!torch::empty({size}).eq(0).all().item<bool>()) {
      throw std::runtime_error("memory as it was left: size=" + std::to_string(size));
    }
  }
}
std::unique_ptr<cambrian::Candidate> cambrian::make_candidate(const cambrian::Setup&) {
  return std::make_unique<cambrian::NetCandidate<Net>>(train);
}
)";

}  // namespace

TEST_CASE("mnist1d: no memory comes to a model as another tensor left it", "[integration][tasks]") {
  const Task task = load_task(kFolder);
  const WorkFolder work;
  std::ofstream(work.path() / "dirty.cpp") << kDirty;
  const Command judge = build_judge(task, work.path());
  const Command candidate = build_candidate(task, work.path() / "dirty.cpp", work.path());
  const Report report = evaluate(task, judge, candidate, {});
  INFO(report.diagnostics);
  CHECK(report.outcome == "success");
}

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
