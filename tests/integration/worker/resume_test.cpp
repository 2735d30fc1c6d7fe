// A training that one worker begins and another goes on with: real compilers, sandboxes and judges.
#include <catch2/matchers/catch_matchers_string.hpp>
#include <functional>

#include "support.hpp"

namespace {

using namespace cambrian::worker;
using namespace cambrian::worker::test;

constexpr const char* kJudge = R"(
#include <cambrian/judge.hpp>

cambrian::Verdict cambrian::judge(Session& session) {
  auto trainer = session.start_candidate("train");
  const std::vector<double> x = {static_cast<double>(session.evaluation().seed)};
  const Seconds budget(session.parameter("train_seconds", 60, 0, 100));
  const Trained trained = trainer.train({make_tensor("x", {1}, x)}, {.budget = budget});
  Verdict verdict;
  verdict.metrics["sum"] = trained.state.at(0).values<double>()[0];
  verdict.metrics["steps"] = static_cast<double>(trained.steps);
  return verdict;
}
)";

constexpr const char* kProgram = R"(
#include <cambrian/candidate.hpp>
#include <chrono>
#include <cmath>
#include <thread>

struct Sum : cambrian::Program {
  std::vector<cambrian::Tensor> train(const cambrian::Message& data,
                                      cambrian::Training& training) override {
    const double x = data.tensor("x").values<double>()[0];
    std::vector<double> sum = {0};
    training.make_resumable(
        {[&] { return std::vector<cambrian::Tensor>{cambrian::make_tensor("sum", {1}, sum)}; },
         [&](const cambrian::Message& saved) {
           sum[0] = saved.tensor("sum").values<double>()[0];
         }});
    while (training.has_time()) {
      sum[0] += std::sin(x + static_cast<double>(training.steps()));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      training.step(sum[0]);
    }
    return {cambrian::make_tensor("sum", {1}, sum)};
  }
};

std::unique_ptr<cambrian::Program> cambrian::make_program(const cambrian::Setup&) {
  return std::make_unique<Sum>();
}
)";

EvaluationRequest request() {
  TaskManifest manifest;
  manifest.name = "sum";
  manifest.candidate.runtime = Runtime::cpp;
  manifest.candidate.evolve = {"program.cpp"};
  manifest.judge.sources = {"judge/judge.cpp"};
  manifest.objectives = {{"sum", std::nullopt, std::nullopt}};
  manifest.limits.run_time = std::chrono::seconds(60);
  manifest.parameters = {{"steps", 800}};
  EvaluationRequest request;
  request.task = make_task(manifest, {{"judge/judge.cpp", kJudge}, {"seed/program.cpp", kProgram}});
  request.sources = {{"program.cpp", kProgram}};
  request.parameters = manifest.parameters;
  return request;
}

/// Stops the evaluation when its training has done so many steps. What was left.
std::optional<Checkpoint> interrupt(const EvaluationRequest& request, std::int64_t step,
                                    bool is_wanted = true) {
  std::stop_source stop;
  Handover handover{.is_wanted = [is_wanted] { return is_wanted; }};
  const auto result = workshop().evaluator().evaluate(
      request, stop.get_token(),
      [&](std::string_view, const TrainingProgress& training) {
        if (training.step.value_or(0) >= step) stop.request_stop();
      },
      &handover);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == cambrian::Errc::cancelled);
  return std::move(handover.saved);
}

}  // namespace

TEST_CASE("resume: another evaluator goes on where one was stopped", "[integration]") {
  const EvaluationResult whole = evaluate(request());
  INFO(whole.diagnostics);
  REQUIRE(whole.outcome == Outcome::success);
  CHECK(whole.resumption == Resumption::none);
  CHECK(whole.path == evaluator_path());

  EvaluationRequest second = request();
  second.checkpoint = interrupt(request(), 100);
  REQUIRE(second.checkpoint);
  CHECK(second.checkpoint->result_key == whole.result_key);
  // And once more, before it is done.
  second.checkpoint = interrupt(second, 400);
  REQUIRE(second.checkpoint);
  const EvaluationResult resumed = evaluate(second);
  INFO(resumed.diagnostics);
  REQUIRE(resumed.outcome == Outcome::success);
  CHECK(resumed.resumption == Resumption::resumed);
  CHECK(resumed.metrics == whole.metrics);
  CHECK(resumed.result_key == whole.result_key);
  CHECK(*resumed.timings.train < *whole.timings.train);

  SECTION("a checkpoint of another evaluation is not used") {
    EvaluationRequest other = second;
    other.seed = 2;
    const EvaluationResult anew = evaluate(other);
    CHECK(anew.resumption == Resumption::refused);
    other.checkpoint.reset();
    CHECK(anew.metrics == evaluate(other).metrics);
    CHECK(anew.metrics != whole.metrics);
  }
  SECTION("what is no message of a judge is refused before a candidate sees it") {
    EvaluationRequest forged = second;
    forged.checkpoint->frame.resize(forged.checkpoint->frame.size() - 1);
    const auto refused = workshop().evaluator().evaluate(forged, {}, [](auto, auto) {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == cambrian::Errc::invalid_argument);
  }
}

TEST_CASE("resume: an evaluation that was cancelled leaves nothing", "[integration]") {
  CHECK_FALSE(interrupt(request(), 100, false));
}
