// The runtimes beside plain C++: any command, and LibTorch.
#include <sched.h>
#include <sys/syscall.h>

#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <fstream>

#include "support.hpp"

namespace {

using namespace cambrian::worker;
using namespace cambrian::worker::test;
using Catch::Matchers::ContainsSubstring;

// Asks for the doubles of three numbers.
constexpr const char* kJudge = R"(
#include <cambrian/judge.hpp>
#include <cmath>
#include <fstream>

cambrian::Verdict cambrian::judge(Session& session) {
  auto candidate = session.start_candidate("ask");
  const std::vector<double> x = {1, 2, 3};
  Message question("ask");
  question.tensors.push_back(make_tensor("x", {3}, x));
  const Message answer = candidate.ask(std::move(question), {{"y", DType::f64, {3}}}, Seconds(30));
  const auto y = answer.tensor("y").values<double>();
  Verdict verdict;
  for (std::size_t i = 0; i < 3; ++i) verdict.metrics["error"] += std::abs(y[i] - 2 * x[i]);
  double label = 0;
  if (std::ifstream("/data/labels/value.txt") >> label) verdict.metrics["label"] = label;
  return verdict;
}
)";

// The frame protocol in plain Python, without any SDK.
constexpr const char* kPython = R"(
import json, os, socket, struct
from factor import FACTOR

s = socket.socket(fileno=int(os.environ["CAMBRIAN_FD"]))
def read(n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece: raise SystemExit(0)
        data += piece
    return data
def write(message, payload=b""):
    text = json.dumps(message).encode()
    s.sendall(b"CMB1" + struct.pack("<IQ", len(text), len(payload)) + text + payload)
while True:
    json_bytes, payload_bytes = struct.unpack("<IQ", read(16)[4:])
    message, payload = json.loads(read(json_bytes)), read(payload_bytes)
    if message["type"] == "hello": write({"type": "ready"})
    if message["type"] == "bye": break
    if message["type"] == "ask":
        y = [FACTOR * x for x in struct.unpack("<3d", payload[:24])]
        write({"type": "answer", "tensors": [
            {"name": "y", "dtype": "f64", "shape": [3], "offset": 0}]}, struct.pack("<3d", *y))
)";

TaskManifest process_manifest() {
  TaskManifest manifest;
  manifest.name = "python-doubling";
  manifest.candidate.runtime = Runtime::process;
  manifest.candidate.evolve = {"make_factor.py"};
  manifest.candidate.build = {"python3", "make_factor.py"};
  manifest.candidate.run = {"python3", "main.py"};
  manifest.judge.sources = {"judge/judge.cpp"};
  manifest.objectives = {{"error", 0, {}}};
  manifest.limits.run_time = std::chrono::seconds(20);
  manifest.limits.disk_bytes = 16 << 20;
  return manifest;
}

EvaluationRequest process_request(const std::string& build_script) {
  EvaluationRequest request;
  request.task = make_task(
      process_manifest(),
      {{"judge/judge.cpp", kJudge}, {"seed/main.py", kPython}, {"seed/make_factor.py", ""}});
  request.sources = {{"make_factor.py", build_script}};
  return request;
}

}  // namespace

TEST_CASE("process: a build command and a run command make a candidate", "[integration]") {
  const auto good = evaluate(process_request("open('factor.py', 'w').write('FACTOR = 2')\n"));
  INFO(good.diagnostics << good.log);
  REQUIRE(good.outcome == Outcome::success);
  CHECK(good.metrics.at("error") == 0);
}

TEST_CASE("process: build, judge and candidate run on the cores of their evaluation",
          "[integration]") {
  cpu_set_t usable;
  REQUIRE(sched_getaffinity(0, sizeof usable, &usable) == 0);
  if (CPU_COUNT(&usable) < 2) SKIP("this machine has one core");
  // The judge's core, and what the candidate says: that of its build, its own, how many it has.
  const std::string judge = R"(
#include <cambrian/judge.hpp>
#include <sched.h>

cambrian::Verdict cambrian::judge(Session& session) {
  auto candidate = session.start_candidate("ask");
  const std::vector<double> x = {1, 2, 3};
  Message question("ask");
  question.tensors.push_back(make_tensor("x", {3}, x));
  const Message answer = candidate.ask(std::move(question), {{"y", DType::f64, {3}}}, Seconds(30));
  const auto y = answer.tensor("y").values<double>();
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  Verdict verdict;
  verdict.metrics = {{"error", 0}, {"build", y[0]}, {"candidate", y[1]}, {"count", y[2]},
                     {"judge_count", CPU_COUNT(&set)}};
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) verdict.metrics["judge"] = core;
  }
  return verdict;
}
)";
  const std::string build = R"(
import os
with open('factor.py', 'w') as file:
    file.write(f"""
import os
class Factor:
    def __mul__(self, x):
        cores = sorted(os.sched_getaffinity(0))
        return [{max(os.sched_getaffinity(0))}, cores[-1], len(cores)][int(x) - 1]
FACTOR = Factor()
""")
)";
  EvaluationRequest request;
  request.task = make_task(
      process_manifest(),
      {{"judge/judge.cpp", judge}, {"seed/main.py", kPython}, {"seed/make_factor.py", ""}});
  request.sources = {{"make_factor.py", build}};
  const auto result = evaluate(request);
  INFO(result.diagnostics << result.log);
  REQUIRE(result.outcome == Outcome::success);
  CHECK(result.metrics.at("count") == 1);
  CHECK(result.metrics.at("judge_count") == 1);
  CHECK(result.metrics.at("judge") == result.metrics.at("candidate"));
  CHECK(result.metrics.at("build") == result.metrics.at("candidate"));
}

TEST_CASE("process: a build that fails is a compile error with its output", "[integration]") {
  const auto failed = evaluate(process_request("raise SystemExit('no factor today')\n"));
  CHECK(failed.outcome == Outcome::compile_error);
  CHECK_THAT(failed.diagnostics, ContainsSubstring("no factor today"));
}

TEST_CASE("process: a program that cannot be executed is the variant's fault", "[integration]") {
  const auto with_program = [](const std::string& content, const std::string& program) {
    EvaluationRequest request = process_request("import os\nopen('run.sh', 'w').write('" + content +
                                                "')\nos.chmod('run.sh', 0o755)\n");
    auto task = std::make_shared<Task>(*request.task);
    task->manifest.candidate.run = {program};
    task->digest = cambrian::sha256_hex(content + program);
    request.task = task;
    return evaluate(request);
  };
  const auto broken = with_program("#!/usr/bin/no-such-shell", "./run.sh");
  INFO(broken.diagnostics);
  CHECK(broken.outcome == Outcome::crash);
  CHECK_THAT(broken.diagnostics, ContainsSubstring("program=./run.sh error=No such file"));
  // A program of this machine that is missing here may be there on another one.
  const auto missing = with_program("", "no-such-program");
  INFO(missing.diagnostics);
  CHECK(missing.outcome == Outcome::infrastructure);

  EvaluationRequest request = process_request("no interpreter");
  auto task = std::make_shared<Task>(*request.task);
  task->manifest.candidate.build = {"./make_factor.py"};
  task->digest = cambrian::sha256_hex("a build that does not start");
  request.task = task;
  const auto unbuilt = evaluate(request);
  INFO(unbuilt.diagnostics);
  CHECK(unbuilt.outcome == Outcome::compile_error);
}

TEST_CASE("process: links that a build leaves lead nowhere", "[integration]") {
  const auto linked = evaluate(process_request(
      "import os\nos.symlink('/etc/passwd', 'secret')\n"
      "open('factor.py', 'w').write('FACTOR = 2\\ntry: print(open(\"secret\").read())\\n'\n"
      "  'except OSError as e: print(\"gone\")')\n"));
  INFO(linked.diagnostics << linked.log);
  CHECK(linked.outcome == Outcome::success);
  CHECK(linked.log == "gone\n");
}

TEST_CASE("process: a build that fills the disk is stopped", "[integration]") {
  const auto full = evaluate(
      process_request("i = 0\nwhile True:\n  open(f'f{i}', 'wb').write(bytes(1 << 20)); i += 1\n"));
  CHECK(full.outcome == Outcome::resource_exceeded);
}

TEST_CASE("process: a build makes no calls but those that builds need", "[integration]") {
  std::string numbers;
  for (const long number : {SYS_inotify_init1, SYS_socket, SYS_memfd_create}) {
    numbers += std::to_string(number) + ", ";
  }
  const auto result =
      evaluate(process_request("import ctypes\n"
                               "libc = ctypes.CDLL(None, use_errno=True)\n"
                               "for number in (" +
                               numbers +
                               "):\n"
                               "  assert libc.syscall(number, 1, 1, 0) == -1\n"
                               "  assert ctypes.get_errno() in (38, 97), number\n"
                               "open('factor.py', 'w').write('FACTOR = 2')\n"));
  INFO(result.diagnostics << result.log);
  CHECK(result.outcome == Outcome::success);
}

TEST_CASE("process: the program cannot change itself between processes", "[integration]") {
  const auto result = evaluate(process_request(
      "open('factor.py', 'w').write('FACTOR = 2\\ntry: open(\"/program/x\", \"w\")\\n'\n"
      "  'except OSError: print(\"read only\")')\n"));
  CHECK(result.outcome == Outcome::success);
  CHECK(result.log == "read only\n");
}

TEST_CASE("judge: reads its data, which are checked", "[integration]") {
  const std::string folder = data_folder() + "/labels";
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/value.txt") << "42\n";
  TaskManifest manifest = process_manifest();
  // sha256sum value.txt | sha256sum
  manifest.data = {{"labels", "${TEST_DATA}/labels",
                    cambrian::sha256_hex(cambrian::sha256_hex("42\n") + "  value.txt\n"), ""}};
  EvaluationRequest request = process_request("open('factor.py', 'w').write('FACTOR = 2')\n");
  request.task = make_task(
      manifest,
      {{"judge/judge.cpp", kJudge}, {"seed/main.py", kPython}, {"seed/make_factor.py", ""}});
  const auto read = evaluate(request);
  REQUIRE(read.outcome == Outcome::success);
  CHECK(read.metrics.at("label") == 42);

  std::ofstream(folder + "/value.txt") << "43\n";
  const auto changed = workshop().evaluator().evaluate(request, {}, [](auto, auto) {});
  REQUIRE_FALSE(changed);
  CHECK_THAT(changed.error().message, ContainsSubstring("data differ"));
}

TEST_CASE("libtorch: a candidate computes with tensors", "[integration][slow]") {
  if (!workshop().toolchain().has_libtorch()) SKIP("no LibTorch on this machine");
  TaskManifest manifest = process_manifest();
  manifest.name = "torch-doubling";
  manifest.candidate = {};
  manifest.candidate.runtime = Runtime::libtorch;
  manifest.candidate.evolve = {"model.cpp"};
  const std::string model = R"(
#include <cambrian/torch_candidate.hpp>

struct Doubler : cambrian::Program {
  cambrian::Message answer(const cambrian::Message& question) override {
    const auto x = question.tensor("x").values<double>();
    const auto y = 2 * torch::tensor(std::vector<double>(x.begin(), x.end()), torch::kFloat64);
    cambrian::Message answer;
    answer.tensors.push_back(cambrian::make_tensor(
        "y", {3}, std::vector<double>(y.data_ptr<double>(), y.data_ptr<double>() + 3)));
    return answer;
  }
};

std::unique_ptr<cambrian::Program> cambrian::make_program(const cambrian::Setup&) {
  return std::make_unique<Doubler>();
}
)";
  EvaluationRequest request;
  request.task = make_task(manifest, {{"judge/judge.cpp", kJudge}, {"seed/model.cpp", model}});
  const auto first = evaluate(request);
  INFO(first.diagnostics << first.log);
  REQUIRE(first.outcome == Outcome::success);
  CHECK(first.metrics.at("error") == 0);

  // With the precompiled header, an edit costs seconds and an error far less.
  request.sources = {{"model.cpp", model + "\nstatic_assert(sizeof(int) == 5);\n"}};
  const auto failed = evaluate(request);
  CHECK(failed.outcome == Outcome::compile_error);
  CHECK_THAT(failed.diagnostics, ContainsSubstring("model.cpp:"));
  CHECK(*failed.timings.compile < std::chrono::seconds(20));
}
