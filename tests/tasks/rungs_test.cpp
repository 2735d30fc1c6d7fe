// What trainings are asked before they are done: that it leaves no trace in them, and what becomes
// of candidates that answer anything else.
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <limits>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

namespace fs = std::filesystem;
const fs::path kTasks = fs::path(CAMBRIAN_SOURCE_DIR) / "tasks";

// Everything that a prediction could disturb: random numbers, buffers, modes, and a buffer that
// even a prediction changes.
constexpr const char* kSensitive = R"cpp(
#include <cambrian/torch_candidate.hpp>

  namespace nn = torch::nn;
  namespace F = torch::nn::functional;

  struct Net : nn::Module {
    nn::Linear first = register_module("first", nn::Linear(40, 32));
    nn::BatchNorm1d norm = register_module("norm", nn::BatchNorm1d(32));
    nn::BatchNorm1d frozen = register_module("frozen", nn::BatchNorm1d(32));
    nn::Dropout dropout = register_module("dropout", nn::Dropout(0.3));
    nn::Linear last = register_module("last", nn::Linear(32, 10));
    torch::Tensor calls = register_buffer("calls", torch::zeros({1}));
    torch::Tensor noise;

    torch::Tensor forward(torch::Tensor x) {
      if (!noise.defined()) noise = torch::full({32}, 0.01);
      calls += 1;
      x = dropout(frozen(norm(torch::relu(first(x)))));
      return last(x + noise * torch::randn({x.size(0), 32}) * (is_training() ? 1 : 0.1));
    }
  };

  void train(Net& net, const cambrian::Data& data, cambrian::Training& training) {
    if (data.others.count("probe") > 0) throw std::runtime_error("sees the probe");
    net.frozen->eval();
    torch::optim::AdamW optimizer(net.parameters(), torch::optim::AdamWOptions(0.01));
    while (training.has_time()) {
      auto [inputs, targets] = data.sample(64);
      auto loss = F::cross_entropy(net.forward(inputs), targets);
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      training.step(loss);
    }
  }

  std::unique_ptr<cambrian::Candidate> cambrian::make_candidate(const cambrian::Setup&) {
    return std::make_unique<cambrian::NetCandidate<Net>>(train);
  }
)cpp";

// Writes frames as it likes. Its second argument is the width of the outputs.
constexpr const char* kRaw = R"(
import cambrian_sdk, numpy, sys, time
mode, width = sys.argv[1], int(sys.argv[2])
channel, forever = cambrian_sdk.Channel.from_environment(), time.monotonic() + 600
def say(type, members={}, tensors={}):
    channel.send(cambrian_sdk.Message(type, members, tensors), forever)
good = numpy.zeros((500, width), numpy.float32)
channel.receive(forever, descriptors=True)
say("ready")
while (message := channel.receive(forever, descriptors=True)).type != "bye":
    if message.type == "train":
        assert ("probe" in message.tensors) == (mode != "unasked")
        rung = lambda number, outputs=good: say("rung", {"rung": number}, {"outputs": outputs})
        if mode == "backwards": rung(1)
        if mode in ("good", "repeated", "backwards", "unasked"): rung(0)
        if mode == "good": rung(1)
        if mode == "repeated": rung(0)
        if mode == "beyond": rung(2)
        if mode == "negative": rung(-1)
        if mode == "no_number": say("rung", {}, {"outputs": good})
        if mode == "text": rung("0")
        if mode == "shape": rung(0, good[:7])
        if mode == "type": rung(0, good.astype(numpy.float64))
        if mode == "nothing": say("rung", {"rung": 0})
        if mode == "two": say("rung", {"rung": 0}, {"outputs": good, "more": good})
        if mode == "nan": rung(0, good + numpy.nan)
        if mode == "late": time.sleep(1.2); rung(0)
        if mode == "flood":
            while True: say("rung", {"rung": 1}, {"outputs": good})
        say("trained", {"steps": 1}, {"w": numpy.zeros(1, numpy.float32)})
        if mode == "after": rung(0)
    if message.type == "load": say("ready")
    if message.type == "predict":
        if mode == "when_predicting": say("rung", {"rung": 0}, {"outputs": good})
        say("prediction", {}, {"outputs": numpy.zeros((len(message.tensor("inputs")), width),
                                                      numpy.float32)})
)";

Report without_times(Report report) {
  INFO(report.diagnostics);
  REQUIRE(report.outcome == "success");
  report.metrics.erase("train_seconds");
  return report;
}

void check_same(const Report& one, const Report& other) {
  CHECK(one.metrics == other.metrics);
  CHECK(one.behaviour_digest == other.behaviour_digest);
}

/// A task with its judge, and candidates that write frames by themselves.
struct Fixture {
  explicit Fixture(const std::string& name) : task(load_task(kTasks / name)) {
    std::ofstream(work.path() / "raw.py") << kRaw;
  }

  Report run_raw(const std::string& mode, int width, std::vector<double> rungs) const {
    const Command candidate{{"python3", "raw.py", mode, std::to_string(width)}, work.path()};
    return evaluate(task, judge, candidate,
                    {.parameters = {{"train_seconds", 1}, {"grace_seconds", 3}, {"steps", 0}},
                     .rungs = std::move(rungs)});
  }

  Task task;
  WorkFolder work;
  Command judge = build_judge(task, work.path());
};

}  // namespace

TEST_CASE("rungs: a LibTorch training ends up as if nobody had asked", "[integration][tasks]") {
  const Fixture fixture("mnist1d");
  std::ofstream(fixture.work.path() / "model.cpp") << kSensitive;
  const WorkFolder own;
  const Command candidate =
      build_candidate(fixture.task, fixture.work.path() / "model.cpp", own.path());
  const auto run = [&](std::vector<double> rungs) {
    return without_times(evaluate(
        fixture.task, fixture.judge, candidate,
        {.parameters = {{"train_seconds", 100}, {"steps", 100}}, .rungs = std::move(rungs)}));
  };
  const Report alone = run({});
  CHECK(alone.rungs.empty());
  const Report asked = run({0.25, 0.5, 0.9});
  check_same(asked, alone);
  REQUIRE(asked.rungs.size() == 3);
  for (const auto& [rung, value] : asked.rungs) {
    CAPTURE(rung);
    CHECK(value > 0.05);  // Among ten classes, and not yet at the end.
    CHECK(value < 1);
  }
  // Of three quarters of the training more is known than of none.
  CHECK(asked.rungs.at(2) > 0.15);
  CHECK(run({0.25, 0.5, 0.9}).rungs == asked.rungs);
}

TEST_CASE("rungs: a Python training ends up as if nobody had asked", "[integration][tasks]") {
  const Fixture fixture("python-regression");
  const WorkFolder own;
  const Command candidate = build_candidate(fixture.task, {}, own.path());
  const auto run = [&](std::vector<double> rungs) {
    return without_times(evaluate(
        fixture.task, fixture.judge, candidate,
        {.parameters = {{"train_seconds", 100}, {"steps", 200}}, .rungs = std::move(rungs)}));
  };
  const Report alone = run({});
  const Report asked = run({0.1, 0.5});
  check_same(asked, alone);
  REQUIRE(asked.rungs.size() == 2);
  CHECK(asked.rungs.at(1) < asked.rungs.at(0));
  CHECK(run({0.1, 0.5}).rungs == asked.rungs);
}

TEST_CASE("rungs: whatever a candidate answers has a name", "[integration][tasks]") {
  for (const auto& [name, width] :
       std::vector<std::pair<std::string, int>>{{"mnist1d", 10}, {"python-regression", 1}}) {
    const Fixture fixture(name);
    const std::vector<double> rungs = {0.2, 0.6};
    for (const char* mode : {"repeated", "backwards", "beyond", "negative", "no_number", "text",
                             "shape", "type", "nothing", "two", "flood", "when_predicting"}) {
      const Report report = fixture.run_raw(mode, width, rungs);
      INFO(name << " " << mode << ": " << report.diagnostics);
      CHECK(report.outcome == "bad_output");
      CHECK(report.metrics.empty());
    }
    const Report unasked = fixture.run_raw("unasked", width, {});
    INFO(name << ": " << unasked.diagnostics);
    CHECK(unasked.outcome == "bad_output");
  }
}

TEST_CASE("rungs: who does not answer, or too late, or without numbers, is scored all the same",
          "[integration][tasks]") {
  for (const auto& [name, width] :
       std::vector<std::pair<std::string, int>>{{"mnist1d", 10}, {"python-regression", 1}}) {
    const Fixture fixture(name);
    const auto run = [&](const std::string& mode) {
      INFO(name << " " << mode);
      return without_times(fixture.run_raw(mode, width, {0.2, 0.6}));
    };
    const Report silent = run("silent");
    CHECK(silent.rungs.empty());
    const Report late = run("late");
    CHECK(late.rungs.empty());
    check_same(late, silent);
    const Report nan = run("nan");
    REQUIRE(nan.rungs.size() == 1);
    CHECK(nan.rungs.at(0) == (width == 1 ? std::numeric_limits<double>::max() : 0));
    check_same(nan, silent);
    const Report good = run("good");
    CHECK(good.rungs.size() == 2);
    check_same(good, silent);
    // Behind the state nobody reads any more.
    check_same(run("after"), silent);
  }
}

TEST_CASE("rungs: an answer takes no time of the training, and a failing one is none",
          "[integration][tasks]") {
  const Fixture fixture("mnist1d");
  const auto run = [&](const std::string& mode) {
    const Command candidate{{CAMBRIAN_BINARY_DIR "/tests/scripted_candidate", mode}, "/"};
    return evaluate(
        fixture.task, fixture.judge, candidate,
        {.parameters = {{"train_seconds", 2}, {"grace_seconds", 4}, {"steps", 4}}, .rungs = {0.2}});
  };
  for (const char* mode : {"honest", "slow_probe"}) {
    const Report report = run(mode);
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == "success");
    CHECK(report.rungs.size() == 1);
  }
  for (const char* mode : {"no_probe", "probe_throws"}) {
    const Report report = run(mode);
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == "success");
    CHECK(report.rungs.empty());
  }
}

TEST_CASE("rungs: a ready judge sets examples aside for them, or says what it lacks",
          "[integration][tasks]") {
  Fixture fixture("mnist1d");
  fixture.task.judge_sources.clear();
  fixture.task.judge_ready = "regression";
  const std::string make =
      "cd " + fixture.work.path().string() + " && /usr/bin/python3 -c \"import numpy\n" +
      "for name, count in (('train', 800), ('test', 40)):\n" +
      "    x = numpy.arange(count, dtype=numpy.float64).reshape(count, 1)\n" +
      "    numpy.save(name + '_inputs.npy', x); numpy.save(name + '_targets.npy', x[:, 0])\"";
  REQUIRE(std::system(make.c_str()) == 0);
  fixture.task.data["dataset"] = fixture.work.path();
  fixture.judge = build_judge(fixture.task, fixture.work.path());
  const Report lacking = fixture.run_raw("good", 1, {0.2, 0.6});
  CHECK(lacking.outcome == "infrastructure");
  CHECK(lacking.diagnostics.find("set the parameter probe") != std::string::npos);
  fixture.task.parameters["probe"] = 500;
  fixture.task.parameters["validation"] = 100;
  const Report asked = without_times(fixture.run_raw("good", 1, {0.2, 0.6}));
  CHECK(asked.rungs.size() == 2);
  // Set aside whether or not anybody asks: the score is the same.
  check_same(asked, without_times(fixture.run_raw("silent", 1, {0.2, 0.6})));
}

}  // namespace cambrian::tasks
