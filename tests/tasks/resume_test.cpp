// Trainings that are interrupted in one process and go on in another.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <fstream>

#include "cambrian/frame.hpp"
#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

namespace fs = std::filesystem;

// Adds up random numbers. Its argument says how it behaves when it is interrupted.
constexpr const char* kSum = R"(
import cambrian_sdk, numpy, sys, time
mode = sys.argv[1]
class Sum:
    def __init__(self, setup):
        numpy.random.seed(setup.seed % 2**32)
        self.value = 0.0
    def state_dict(self):
        return {"value": self.value, "rest": bytes(70 << 20 if mode == "large" else 0)}
    def load_state_dict(self, state):
        if mode == "refuses": raise ValueError("not mine")
        self.value = state["value"]
    def train(self, data, training):
        if mode == "unasked": training._channel.send(
            cambrian_sdk.Message("checkpoint", {"steps": 1}), time.monotonic() + 9)
        forgets = mode == "forgets" and training._saved is not None
        if mode != "plain" and not forgets: training.make_resumable(self)
        while training.has_time():
            self.value += numpy.random.random()
            time.sleep(0.002)
            training.step(self.value)
        return {"value": numpy.array([self.value])}
    def load(self, state):
        self.value = float(state["value"][0])
    def probe(self, inputs):
        time.sleep(0.2)
        return self.predict(inputs)
    def predict(self, inputs):
        return numpy.full((len(inputs), int(sys.argv[2])), self.value, numpy.float32)
cambrian_sdk.run_candidate(Sum)
)";

// Answers `save` by a frame of its own, which the SDK would not send.
constexpr const char* kRaw = R"(
import cambrian_sdk, numpy, time
channel, forever = cambrian_sdk.Channel.from_environment(), time.monotonic() + 600
channel.receive(forever, descriptors=True)
channel.send(cambrian_sdk.Message("ready"), forever)
channel.receive(forever, descriptors=True)
while not channel.has_something():
    channel.send(cambrian_sdk.Message("progress", {"step": 1000, "resumable": True}), forever)
    time.sleep(0.05)
assert channel.receive(forever).type == "save"
large = {"x": numpy.zeros(70 << 20, numpy.uint8)}
channel.send(cambrian_sdk.Message("checkpoint", {"steps": 1000}, large), forever)
time.sleep(60)
)";

/// A judge in C++ and one in Python: both have to do the same.
struct Judged {
  std::string task;
  std::string outputs;
};
const std::vector<Judged> kJudges = {{"mnist1d", "10"}, {"python-regression", "1"}};

struct Fixture {
  explicit Fixture(const std::string& name)
      : task(load_task(fs::path(CAMBRIAN_SOURCE_DIR) / "tasks" / name)),
        judge(build_judge(task, work.path())) {
    std::ofstream(work.path() / "sum.py") << kSum;
    std::ofstream(work.path() / "raw.py") << kRaw;
  }

  Report run_sum(const std::string& mode, const std::string& outputs,
                 const Request& request) const {
    const Command candidate{{"python3", "sum.py", mode, outputs}, work.path()};
    return evaluate(task, judge, candidate, request);
  }

  WorkFolder work;
  Task task;
  Command judge;
};

const Request kInSteps{.parameters = {{"steps", 1500}, {"train_seconds", 100}}};

Request interrupted(Request request, std::int64_t step) {
  request.interrupt_at_step = step;
  return request;
}

Request resumed(Request request, const Report& earlier) {
  request.checkpoint = earlier.checkpoint;
  return request;
}

/// Metrics but the time that it took, which no two trainings have in common.
std::map<std::string, double> repeatable(const Report& report) {
  auto metrics = report.metrics;
  metrics.erase("train_seconds");
  return metrics;
}

auto count(const Report& report, const std::string& event) {
  return std::ranges::count(report.events, event);
}

/// Interrupts a training of the task's seed, between two rungs, and goes on with it: the same as in
/// one piece.
void check_seed(const std::string& name, const Request& request, std::int64_t step) {
  const Fixture fixture(name);
  const WorkFolder own;
  const Command candidate = build_candidate(fixture.task, {}, own.path());
  const Report whole = evaluate(fixture.task, fixture.judge, candidate, request);
  INFO(whole.diagnostics);
  REQUIRE(whole.outcome == "success");
  REQUIRE(whole.rungs.size() == 2);
  const Report first = evaluate(fixture.task, fixture.judge, candidate, interrupted(request, step));
  INFO(first.diagnostics);
  REQUIRE(first.outcome == "interrupted");
  REQUIRE_FALSE(first.checkpoint.empty());
  const std::int64_t saved_at = from_bytes(first.checkpoint).integer("steps");
  CHECK(saved_at >= step);
  CHECK(static_cast<double>(saved_at) < request.parameters.at("steps"));

  const Report second = evaluate(fixture.task, fixture.judge, candidate, resumed(request, first));
  INFO(second.diagnostics);
  REQUIRE(second.outcome == "success");
  CHECK(count(second, "resumed") == 1);
  CHECK(repeatable(second) == repeatable(whole));
  CHECK(second.behaviour_digest == whole.behaviour_digest);
  CHECK(first.rungs == std::map<int, double>{{0, whole.rungs.at(0)}});
  CHECK(second.rungs == std::map<int, double>{{1, whole.rungs.at(1)}});
}

}  // namespace

TEST_CASE("resume: a training with LibTorch ends as if it had not been interrupted",
          "[integration][tasks]") {
  check_seed("mnist1d",
             {.parameters = {{"steps", 6000}, {"train_seconds", 100}}, .rungs = {0.01, 0.9}}, 200);
}

TEST_CASE("resume: a training in Python ends as if it had not been interrupted",
          "[integration][tasks]") {
  check_seed("python-regression",
             {.parameters = {{"steps", 8000}, {"train_seconds", 100}}, .rungs = {0.01, 0.9}}, 200);
}

TEST_CASE("resume: a training gets the rest of its time and no more", "[integration][tasks]") {
  for (const auto& [name, outputs] : kJudges) {
    INFO(name);
    const Fixture fixture(name);
    const Request request{.parameters = {{"train_seconds", 3}, {"steps", 0}}, .rungs = {0.05}};
    const Report first = fixture.run_sum("keeps", outputs, interrupted(request, 300));
    REQUIRE_FALSE(first.checkpoint.empty());
    const double used = from_bytes(first.checkpoint).number("used_seconds");
    CHECK(used > 0.6);
    CHECK(used < 3);
    const double free = from_bytes(first.checkpoint).number("rung_seconds");
    CHECK(free >= 0.2);
    CHECK(free <= 0.65);
    const auto before = Clock::now();
    const Report second = fixture.run_sum("keeps", outputs, resumed(request, first));
    INFO(second.diagnostics);
    REQUIRE(second.outcome == "success");
    CHECK(count(second, "resumed") == 1);
    // Of both processes together, and the steps of both. What answering took came on top.
    CHECK(second.rungs.empty());
    CHECK(second.metrics.at("train_seconds") >= 3 + free);
    CHECK(second.metrics.at("train_seconds") < 4.3);
    CHECK(second.metrics.at("steps") >
          static_cast<double>(from_bytes(first.checkpoint).integer("steps")));
    CHECK(Clock::now() - before < std::chrono::seconds(30));
  }
}

TEST_CASE("resume: who cannot take its checkpoint up begins anew and is not to blame",
          "[integration][tasks]") {
  for (const auto& [name, outputs] : kJudges) {
    const Fixture fixture(name);
    const Report whole = fixture.run_sum("keeps", outputs, kInSteps);
    INFO(name << " " << whole.diagnostics);
    REQUIRE(whole.outcome == "success");
    const Report first = fixture.run_sum("keeps", outputs, interrupted(kInSteps, 100));
    REQUIRE_FALSE(first.checkpoint.empty());
    for (const char* mode : {"refuses", "forgets", "plain"}) {
      const Report second = fixture.run_sum(mode, outputs, resumed(kInSteps, first));
      INFO(mode << ": " << second.diagnostics);
      CHECK(second.outcome == "success");
      CHECK(count(second, "not_resumed") == 1);
      CHECK(count(second, "resumed") == 0);
      CHECK(repeatable(second) == repeatable(whole));
    }
    // Which is what it does by itself, too.
    const Report kept = fixture.run_sum("keeps", outputs, resumed(kInSteps, first));
    CHECK(count(kept, "not_resumed") == 0);
    CHECK(repeatable(kept) == repeatable(whole));
    CHECK(kept.behaviour_digest == whole.behaviour_digest);
  }
}

TEST_CASE("resume: what cannot be saved is said to be so at once", "[integration][tasks]") {
  for (const auto& [name, outputs] : kJudges) {
    const Fixture fixture(name);
    for (const char* mode : {"plain", "large"}) {
      const Report report = fixture.run_sum(mode, outputs, interrupted(kInSteps, 100));
      INFO(name << " " << mode << " " << report.diagnostics);
      CHECK(report.outcome == "interrupted");
      CHECK(report.checkpoint.empty());
      CHECK(report.duration < std::chrono::seconds(20));
    }
    const Command raw{{"python3", "raw.py"}, fixture.work.path()};
    const Report report = evaluate(fixture.task, fixture.judge, raw, interrupted(kInSteps, 1000));
    INFO(name << " raw " << report.diagnostics);
    CHECK(report.outcome == "interrupted");
    CHECK(report.checkpoint.empty());
    // Nor is one taken that nobody asked for.
    CHECK(fixture.run_sum("unasked", outputs, kInSteps).outcome == "bad_output");
  }
}

}  // namespace cambrian::tasks
