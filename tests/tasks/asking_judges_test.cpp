// The judges of the SDK that ask: language model, online problems, timing. (Construction: see
// circle_packing_test.cpp.) Each with candidates that want more than they have earned.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <fstream>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

using Catch::Matchers::WithinAbs;
namespace fs = std::filesystem;

// What every candidate here begins with. `peek` tells whether the judge has said more than what was
// asked: what comes next, for example.
constexpr const char* kPrelude = R"(
import cambrian_sdk, numpy, os, socket, sys, time
mode = sys.argv[1]
judge = socket.socket(fileno=os.dup(int(os.environ["CAMBRIAN_FD"])))
def peek():
    try: return len(judge.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)) > 0
    except BlockingIOError: return False
)";

// A judge in C++ and a candidate in Python, whose argument says what it tries.
struct Pair {
  WorkFolder work;
  Task task;
  Command judge;

  explicit Pair(const std::string& candidate) {
    std::ofstream(work.path() / "model.py") << kPrelude << candidate;
    task.folder = work.path();
  }

  void build(const std::string& source) {
    std::ofstream(work.path() / "judge.cpp") << source;
    task.judge_sources = {"judge.cpp"};
    judge = build_judge(task, work.path());
  }

  Report run(const std::string& mode, const Request& request = {}) const {
    return evaluate(task, judge, {{"python3", "model.py", mode}, work.path()}, request);
  }

  Report succeed(const std::string& mode, const Request& request = {}) const {
    Report report = run(mode, request);
    INFO(mode << ": " << report.diagnostics);
    REQUIRE(report.outcome == "success");
    return report;
  }

  void check_refused(const std::string& mode, const std::string& outcome,
                     const Request& request = {}) const {
    const Report report = run(mode, request);
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == outcome);
    CHECK(report.metrics.empty());
  }
};

// Four symbols; the next one is the following one in three of four cases, else the one after that.
// What is sealed always has the following one.
std::string make_text(bool is_sealed) {
  std::string text;
  std::uint32_t random = 1;
  for (int symbol = 0; text.size() < 20'000;) {
    text += static_cast<char>(symbol);
    random = random * 1664525 + 1013904223;
    symbol = (symbol + (is_sealed || (random >> 30) != 0 ? 1 : 2)) % 4;
  }
  return text;
}

constexpr const char* kLanguageModel = R"(
class Model:
    def train(self, data, training):
        text = data["inputs"]
        assert text.dtype == numpy.uint8 and len(text) == 18000
        table = numpy.full((4, 4), 1e-3, numpy.float32)
        numpy.add.at(table, (text[:-1], text[1:]), 1)
        return {"table": numpy.log(table / table.sum(1, keepdims=True))}
    def load(self, state):
        self.table = state["table"]
    def predict(self, symbols):
        assert symbols.dtype == numpy.uint8 and symbols.shape == (8,)
        out = numpy.full((len(symbols), 256), -50, numpy.float32)
        out[:, :4] = self.table[symbols]
        if mode == "uniform" or (mode == "future" and peek()): out[:] = 0
        if mode == "certain": out = numpy.where(out == out.max(1, keepdims=True), 3e38, -3e38)
        if mode == "unnormalised": out += 1000
        if mode == "large": out[:] = 1e20
        if mode == "largest": out[:] = 3e38
        if mode == "nan": out[3, 3] = numpy.nan
        if mode == "infinite": out[:] = numpy.inf
        return out[:4] if mode == "few" else out.astype(numpy.float32)
cambrian_sdk.run_candidate(lambda setup: Model())
)";

// The next symbol is the other one in four of five cases. Guessed right, it counts.
constexpr const char* kOnlineJudge = R"(
#include <cambrian/online.hpp>
#include <cambrian/rng.hpp>

namespace {
class Coin : public cambrian::OnlineInstance {
 public:
  explicit Coin(cambrian::Rng rng) : rng_(rng) {}
  std::vector<double> observe() override { return {symbol_, static_cast<double>(steps_)}; }
  void act(std::span<const double> action) override {
    if (action[0] != 0 && action[0] != 1) {
      throw cambrian::Failure(cambrian::Outcome::bad_output, "a guess is 0 or 1");
    }
    if (rng_.below(5) != 0) symbol_ = 1 - symbol_;
    if (action[0] == symbol_) right_ += 1;
    ++steps_;
  }
  double score() const override { return right_ / steps_; }

 private:
  cambrian::Rng rng_;
  double symbol_ = 0;
  double right_ = 0;
  int steps_ = 0;
};
}  // namespace

cambrian::Verdict cambrian::judge(Session& session) {
  OnlineTask task{.steps = session.integer_parameter("steps", 60, 0, 1000),
                  .observation_size = 2,
                  .action_size = 1};
  const Rng rng(session.evaluation().seed);
  for (std::uint64_t i = 0; i < 20; ++i) {
    task.instances.push_back(std::make_unique<Coin>(rng.split(i)));
  }
  return judge_online(session, task);
}
)";

constexpr const char* kOnline = R"(
class Player:
    def answer(self, question):
        seen = question.tensor("observations")
        assert seen.shape == (20, 2) and seen.dtype == numpy.float64
        guess = 1 - seen[:, :1]
        if mode == "same" or (mode == "future" and peek()): guess = seen[:, :1]
        if mode == "seven": guess = guess + 7
        if mode == "nan": guess[2] = numpy.nan
        if mode == "wide": guess = seen
        answer = cambrian_sdk.Message("answer", {"score": 1.0}, {"actions": guess})
        if mode == "surplus": answer.tensors["score"] = numpy.ones(1)
        return answer
cambrian_sdk.run_candidate(lambda setup: Player())
)";

// The sum of the roots, by a loop that nobody would write. The parameter `disturbed` plays a
// machine that is kept busy as soon as there is a candidate: the reference takes so much longer
// then.
constexpr const char* kTimingJudge = R"(
#include <cambrian/rng.hpp>
#include <cambrian/timing.hpp>
#include <cmath>
#include <thread>

namespace {
cambrian::Tensor slow_sum(const cambrian::Message& question) {
  double sum = 0;
  for (int pass = 0; pass < 10; ++pass) {
    sum = 0;
    for (const double value : question.tensor("values").values<double>()) {
      sum += std::pow(value, 0.5 + 1e-300 * pass);
    }
  }
  return cambrian::make_tensor("sum", {}, std::vector<double>{sum});
}
}  // namespace

cambrian::Verdict cambrian::judge(Session& session) {
  const Rng rng(session.evaluation().seed);
  const Seconds disturbed(session.parameter("disturbed", 0, 0, 10));
  int alone = 6;  // Rounds, those of the warm-up included.
  return judge_timing(
      session,
      {.draw = [&rng](std::int64_t round) {
         Rng own = rng.split(static_cast<std::uint64_t>(round));
         std::vector<double> values(50'000);
         for (double& value : values) value = own.uniform();
         Message question("ask");
         question.tensors.push_back(make_tensor("values", {50'000}, values));
         return question;
       },
       .answer = [](const Message&) { return std::vector<TensorSpec>{{"sum", DType::f64, {}}}; },
       .reference =
           [&](const Message& question) {
             if (alone-- <= 0) std::this_thread::sleep_for(disturbed);
             return std::vector<Tensor>{slow_sum(question)};
           },
       .check = [](const Message&, const std::vector<Tensor>& right, const Message& answer) {
         const double difference =
             right[0].values<double>()[0] - answer.tensor("sum").values<double>()[0];
         if (std::abs(difference) > 1e-6) throw Failure(Outcome::bad_output, "wrong sum");
       }});
}
)";

constexpr const char* kTiming = R"(
class Adder:
    first = None
    def answer(self, question):
        sum = numpy.sqrt(question.tensor("values")).sum()
        if self.first is None: self.first = sum
        if mode == "slow": time.sleep(0.1)
        if mode == "stopped_clock": time.time = time.monotonic = lambda: 0.0; time.sleep(0.1)
        if mode == "remembered": sum = self.first
        if mode == "nothing": sum = 0.0
        return cambrian_sdk.Message("answer", {"seconds": 1e-9}, {"sum": numpy.float64(sum)})
cambrian_sdk.run_candidate(lambda setup: Adder())
)";

}  // namespace

TEST_CASE("ready judges: a language model is judged by what it did not see",
          "[integration][tasks]") {
  Pair pair(kLanguageModel);
  const fs::path data = pair.work.path() / "data-set";
  fs::create_directory(data);
  std::ofstream(data / "train.txt") << make_text(false);
  std::ofstream(data / "test.txt") << make_text(true);
  pair.task.judge_ready = "language_model";
  pair.task.data["dataset"] = data;
  pair.judge = build_judge(pair.task, pair.work.path());
  const Request request{.parameters = {{"streams", 8}, {"stream_length", 128}}};

  const Report honest = pair.succeed("honest", request);
  // The entropy of the source is 0.811 bits; the standard error of 1024 guesses is 0.02.
  CHECK_THAT(honest.metrics.at("bits_per_symbol"), WithinAbs(0.811, 0.1));
  CHECK(honest.metrics.at("bits_per_symbol_standard_error") > 0);
  CHECK(honest.metrics.at("parameters") == 16);
  Request sealed = request;
  sealed.split = "sealed";
  // Minus the logarithm of three quarters, without any spread.
  CHECK_THAT(pair.succeed("honest", sealed).metrics.at("bits_per_symbol"), WithinAbs(0.415, 0.02));

  CHECK_THAT(pair.succeed("uniform", request).metrics.at("bits_per_symbol"), WithinAbs(8, 1e-6));
  // Where the judge had said what comes next, this one would have guessed without knowledge.
  const Report future = pair.succeed("future", request);
  CHECK(future.metrics.at("bits_per_symbol") == honest.metrics.at("bits_per_symbol"));
  CHECK(future.behaviour_digest == honest.behaviour_digest);
  // More than a probability of one cannot be claimed, and to be sure and wrong is dear.
  CHECK_THAT(pair.succeed("unnormalised", request).metrics.at("bits_per_symbol"),
             WithinAbs(honest.metrics.at("bits_per_symbol"), 1e-2));
  CHECK(pair.succeed("certain", request).metrics.at("bits_per_symbol") > 1e30);
  // Numbers beside which a logarithm is lost are no knowledge either.
  for (const char* mode : {"large", "largest"}) {
    CHECK_THAT(pair.succeed(mode, request).metrics.at("bits_per_symbol"), WithinAbs(8, 1e-6));
  }
  pair.check_refused("nan", "not_finite", request);
  pair.check_refused("infinite", "not_finite", request);
  pair.check_refused("few", "bad_output", request);
  CHECK(pair.run("honest", {.parameters = {{"streams", 4096}}}).outcome == "infrastructure");
}

TEST_CASE("ready judges: an online algorithm decides before it knows", "[integration][tasks]") {
  Pair pair(kOnline);
  pair.build(kOnlineJudge);
  const Report honest = pair.succeed("honest");
  // The standard error of 1200 guesses is 0.012.
  CHECK_THAT(honest.metrics.at("score"), WithinAbs(0.8, 0.05));
  CHECK_THAT(honest.metrics.at("score_standard_error"), WithinAbs(0.012, 0.008));
  CHECK_THAT(pair.succeed("same").metrics.at("score"), WithinAbs(0.2, 0.05));
  const Report future = pair.succeed("future");
  CHECK(future.metrics == honest.metrics);
  CHECK(future.behaviour_digest == honest.behaviour_digest);
  CHECK(pair.succeed("honest", {.seed = 2}).metrics != honest.metrics);
  pair.check_refused("seven", "bad_output");
  pair.check_refused("wide", "bad_output");
  pair.check_refused("surplus", "bad_output");
  pair.check_refused("nan", "not_finite");
  // A task without anything to decide is nobody's bad result.
  CHECK(pair.run("honest", {.parameters = {{"steps", 0}}}).outcome == "infrastructure");
}

TEST_CASE("ready judges: time is the judge's, and wrong answers have none",
          "[integration][tasks]") {
  Pair pair(kTiming);
  pair.build(kTimingJudge);
  const Request request{.parameters = {{"rounds", 5}, {"warm_up", 1}}};
  const Report honest = pair.succeed("honest", request);
  CHECK(honest.metrics.at("seconds") > 0);
  CHECK(honest.metrics.at("reference_seconds") > 0);
  CHECK(honest.metrics.at("speedup_low") <= honest.metrics.at("speedup"));
  CHECK(honest.metrics.at("speedup") <= honest.metrics.at("speedup_high"));
  for (const char* mode : {"slow", "stopped_clock"}) {
    const Report slow = pair.succeed(mode, request);
    CHECK(slow.metrics.at("seconds") > 0.1);
    CHECK(slow.metrics.at("speedup") < honest.metrics.at("speedup"));
  }
  // Who disturbs the reference gains nothing.
  Request disturbed = request;
  disturbed.parameters["disturbed"] = 0.5;
  CHECK(pair.succeed("honest", disturbed).metrics.at("reference_seconds") < 0.5);
  pair.check_refused("remembered", "bad_output", request);
  pair.check_refused("nothing", "bad_output", request);
}

}  // namespace cambrian::tasks
