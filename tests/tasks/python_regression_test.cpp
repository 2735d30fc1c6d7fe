#include <catch2/catch_test_macros.hpp>
#include <fstream>

#include "tests/tasks/harness.hpp"

namespace cambrian::tasks {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(CAMBRIAN_SOURCE_DIR) / "tasks/python-regression";

// A model without PyTorch, which takes seconds to load: predicts the mean of the targets.
constexpr const char* kMean = R"(
import cambrian_sdk, numpy, sys, time
mode = sys.argv[1]
def held_out(rng, count):
    x = rng.random((count, 10))
    y = 10 * numpy.sin(numpy.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y += 10 * x[:, 3] + 5 * x[:, 4] + rng.standard_normal(count)
    return y[:, None].astype(numpy.float32)
class Mean:
    def __init__(self):
        if mode == "dirty": import torch
    def train(self, data, training):
        if mode == "dirty":
            torch = sys.modules["torch"]
            torch.full((6144,), numpy.nan)
            assert torch.empty(6144).eq(0).all(), "memory as it was left"
        if mode == "throws": raise ValueError("no idea")
        if mode == "late": time.sleep(60)
        if mode == "diverges":
            training.step(float("nan"))
            time.sleep(1.5 * training.REPORT_INTERVAL)
            training.step(1.0)
            assert not training.has_time(), "a loss that was not finite is forgotten"
        training.step(1.0)
        data["targets"][0] += 0.0  # Writing to the data must not end the process.
        # A normalisation counts its batches in an array without dimensions.
        state = {"mean": data["targets"].mean(axis=0), "batches": numpy.array(3)}
        one = numpy.zeros(1, numpy.uint8)
        if mode == "names": state.update((f"{i:0200}", one) for i in range(40))
        if mode == "empty": state["x" * 200] = numpy.zeros((7, 0, 11), numpy.uint8)
        return state
    def load(self, state):
        assert state["batches"].shape == (), state["batches"].shape
        self.mean = state["mean"]
    def predict(self, inputs):
        outputs = numpy.zeros((len(inputs), 1), numpy.float32) + self.mean
        # The judge's own numbers: here the seed is no secret.
        if mode == "exact": return held_out(numpy.random.default_rng([1, 1]), len(inputs))
        if mode == "nan": outputs[3] = numpy.nan
        return {"double": outputs.astype(numpy.float64), "flat": outputs[:, 0]}.get(mode, outputs)
cambrian_sdk.run_candidate(lambda setup: Mean())
)";

// Writes frames by itself, which the SDK would not send.
constexpr const char* kRaw = R"(
import cambrian_sdk, json, numpy, struct, sys, time
mode = sys.argv[1]
channel, forever = cambrian_sdk.Channel.from_environment(), time.monotonic() + 600
def put(text, payload=b""):
    header = struct.pack("<4sIQ", b"CMB1", len(text), len(payload))
    channel._send_bytes(header + text + payload, [], forever)
def state():
    entry = {"dtype": "u8", "shape": [1]}
    text = lambda length: json.dumps({"type": "trained", "steps": 1, "tensors": [
        {"name": f"{i:0{length}}", "offset": 8 * i, **entry} for i in range(4096)]},
        separators=(",", ":")).encode()
    length = 150
    while len(text(length + 1)) <= cambrian_sdk.JSON_BYTES_MAX: length += 1
    put(text(length), bytes(8 * 4095 + 1))
channel.receive(forever, descriptors=True)
put(b'{"type":"ready"}')
while (message := channel.receive(forever, descriptors=True)).type != "bye":
    tensor = (b'{"type":"trained","steps":1,'
              b'"tensors":[{"name":"%s","dtype":"u8","shape":%s,"offset":0}]}')
    nines = b"9" * 400
    attacks = {
        "name": tensor % (b"\\ud800", b"[0]"),
        "shape": tensor % (b"x", b"[0,1" + b"0" * 30 + b"]"),
        "wide": tensor % (b"x", b"[0,4611686018427387904,4611686018427387904]"),
        "steps": b'{"type":"trained","steps":' + nines + b'}',
        "step": b'{"type":"progress","step":' + nines + b'}',
        "long_step": b'{"type":"progress","step":1' + b"0" * 30 + b'}',
        "error": b'{"type":"error","message":"\\ud800"}',
        "type": b'{"type":"\\ud800"}'}
    if message.type == "train" and mode in attacks: put(attacks[mode])
    if message.type == "train" and mode == "state": state()
    if message.type == "load": put(b'{"type":"ready"}')
    if message.type == "predict":
        outputs = numpy.zeros((len(message.tensor("inputs")), 1), numpy.float32)
        channel.send(cambrian_sdk.Message("prediction", {}, {"outputs": outputs}), forever)
)";

struct Fixture {
  Task task = load_task(kFolder);
  WorkFolder work;
  Command judge = build_judge(task, work.path());

  Report run_mean(const std::string& mode, const Request& request = {}) const {
    std::ofstream(work.path() / "mean.py") << kMean;
    return evaluate(task, judge, {{"python3", "mean.py", mode}, work.path()}, request);
  }

  Report run_raw(const std::string& mode) const {
    std::ofstream(work.path() / "raw.py") << kRaw;
    return evaluate(task, judge, {{"python3", "raw.py", mode}, work.path()}, {});
  }
};

}  // namespace

TEST_CASE("python-regression: the seed learns, and equal seeds learn the same",
          "[integration][tasks]") {
  const Fixture fixture;
  const WorkFolder own;
  const Command candidate = build_candidate(fixture.task, {}, own.path());
  const auto run = [&] {
    Report report = evaluate(fixture.task, fixture.judge, candidate, {});
    INFO(report.diagnostics);
    REQUIRE(report.outcome == "success");
    report.metrics.erase("train_seconds");
    return report;
  };
  const Report report = run();
  const Report mean = fixture.run_mean("honest");
  INFO(mean.diagnostics);
  REQUIRE(mean.outcome == "success");
  // The targets' own deviation is 5.0, that of the noise 1.0.
  CHECK(mean.metrics.at("rmse") > 4.5);
  CHECK(mean.metrics.at("rmse") < 5.5);
  CHECK(report.metrics.at("rmse") < mean.metrics.at("rmse"));
  CHECK(report.metrics.at("parameters") == 97);
  // A float32 and an int64.
  CHECK(mean.metrics.at("parameters") == 3);
  CHECK(run().metrics == report.metrics);
}

TEST_CASE("python-regression: a training that diverged has no time left", "[integration][tasks]") {
  const Report report = Fixture().run_mean("diverges");
  INFO(report.diagnostics);
  CHECK(report.outcome == "success");
}

TEST_CASE("python-regression: no memory comes to a model as another tensor left it",
          "[integration][tasks]") {
  const Report report = Fixture().run_mean("dirty");
  INFO(report.diagnostics);
  CHECK(report.outcome == "success");
}

TEST_CASE("python-regression: what a state carries in names and shapes is counted or refused",
          "[integration][tasks]") {
  const Fixture fixture;
  const Report named = fixture.run_mean("names");
  INFO(named.diagnostics);
  REQUIRE(named.outcome == "success");
  // 4 and 8 bytes, 40 tensors of four at least, and 8011 of names, of which 85 are free.
  CHECK(named.metrics.at("parameters") == 2025);
  CHECK(fixture.run_mean("empty").outcome == "bad_output");
}

TEST_CASE("python-regression: no frame of a candidate ends the judge", "[integration][tasks]") {
  const Fixture fixture;
  for (const char* mode :
       {"name", "shape", "wide", "steps", "step", "long_step", "error", "type"}) {
    const Report report = fixture.run_raw(mode);
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == "bad_output");
  }
  // As much JSON as a frame may have must not become more on its way to the next process.
  const Report report = fixture.run_raw("state");
  INFO(report.diagnostics);
  CHECK(report.outcome == "success");
}

TEST_CASE("python-regression: no error at all is a result", "[integration][tasks]") {
  const Fixture fixture;
  for (const double examples : {1000.0, 1.0}) {
    const Report report = fixture.run_mean("exact", {.parameters = {{"validation", examples}}});
    INFO(report.diagnostics);
    REQUIRE(report.outcome == "success");
    CHECK(report.metrics.at("rmse") == 0);
    CHECK(report.metrics.at("rmse_standard_error") == 0);
  }
}

TEST_CASE("python-regression: the Python judge names what a candidate does wrong",
          "[integration][tasks]") {
  const Fixture fixture;
  const Request request{.parameters = {{"train_seconds", 0.5}, {"grace_seconds", 0.5}}};
  for (const auto& [mode, outcome] :
       std::vector<std::pair<std::string, std::string>>{{"nan", "not_finite"},
                                                        {"double", "bad_output"},
                                                        {"flat", "bad_output"},
                                                        {"throws", "crash"},
                                                        {"late", "timeout"}}) {
    const Report report = fixture.run_mean(mode, request);
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == outcome);
    CHECK(report.metrics.empty());
  }
  for (const auto& [mode, outcome] :
       std::vector<std::pair<std::string, std::string>>{{"exit", "crash"},
                                                        {"half_frame", "crash"},
                                                        {"magic", "bad_output"},
                                                        {"surplus", "bad_output"},
                                                        {"huge_payload", "bad_output"},
                                                        {"huge_json", "bad_output"},
                                                        {"not_json", "bad_output"},
                                                        {"half_pair", "bad_output"},
                                                        {"endless_step", "bad_output"},
                                                        {"silent", "timeout"}}) {
    const Command candidate{{CAMBRIAN_BINARY_DIR "/tests/hostile_candidate", mode}, "/"};
    const Report report = evaluate(fixture.task, fixture.judge, candidate, request);
    INFO(mode << ": " << report.diagnostics);
    CHECK(report.outcome == outcome);
    CHECK(report.metrics.empty());
  }
}

}  // namespace cambrian::tasks
