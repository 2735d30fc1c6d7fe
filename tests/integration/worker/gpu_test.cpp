// What only a GPU can show. Skipped where this machine has none.
#include "support.hpp"
#include "worker/adapters/sandbox/gpus.hpp"

namespace {

using namespace cambrian::worker;
using namespace cambrian::worker::test;

constexpr const char* kJudge = R"(
#include <cambrian/judge.hpp>

cambrian::Verdict cambrian::judge(Session& session) {
  auto candidate = session.start_candidate("ask");
  TensorSpec expected{"facts", DType::f64, {3}};
  const Message answer = candidate.ask(Message("ask"), {expected}, Seconds(60));
  const auto facts = answer.tensor("facts").values<double>();
  Verdict verdict;
  verdict.metrics["status"] = facts[0];
  verdict.metrics["devices"] = facts[1];
  verdict.metrics["copied"] = facts[2];
  return verdict;
}
)";

// By the driver alone, so that no CUDA toolkit is needed: how many devices there are, and whether
// bytes that were sent to the first one come back.
constexpr const char* kCandidate = R"(
#include <dlfcn.h>
#include <cambrian/candidate.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace {

void* driver = nullptr;

template <class... Arguments>
bool call(const char* name, Arguments... arguments) {
  const auto function = reinterpret_cast<int (*)(Arguments...)>(dlsym(driver, name));
  const int status = function == nullptr ? -1 : function(arguments...);
  if (status != 0) std::printf("%s: %d\n", name, status);
  return status == 0;
}

std::vector<double> facts() {
  driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == nullptr) {
    std::printf("%s\n", dlerror());
    return {1, 0, 0};
  }
  int count = 0;
  int device = 0;
  void* context = nullptr;
  std::uint64_t memory = 0;
  std::vector<std::uint8_t> sent(16 << 20, 42);
  std::vector<std::uint8_t> received(sent.size());
  const bool is_done = call("cuInit", 0U) && call("cuDeviceGetCount", &count) &&
                       call("cuDeviceGet", &device, 0) &&
                       call("cuCtxCreate_v2", &context, 0U, device) &&
                       call("cuMemAlloc_v2", &memory, sent.size()) &&
                       call("cuMemcpyHtoD_v2", memory, sent.data(), sent.size()) &&
                       call("cuMemcpyDtoH_v2", received.data(), memory, received.size());
  return {is_done ? 0.0 : 2.0, double(count), received == sent ? 1.0 : 0.0};
}

struct Prober : cambrian::Program {
  cambrian::Message answer(const cambrian::Message&) override {
    const std::vector<double> found = facts();
    cambrian::Message answer;
    answer.tensors.push_back(cambrian::make_tensor("facts", {3}, found));
    return answer;
  }
};

}  // namespace

std::unique_ptr<cambrian::Program> cambrian::make_program(const cambrian::Setup&) {
  return std::make_unique<Prober>();
}
)";

std::shared_ptr<Task> probing_task(int gpus) {
  TaskManifest manifest;
  manifest.name = "probing";
  manifest.candidate.runtime = Runtime::cpp;
  manifest.candidate.evolve = {"prober.cpp"};
  manifest.judge.sources = {"judge/judge.cpp"};
  manifest.objectives = {{"copied", 0, 1}};
  manifest.limits.run_time = std::chrono::minutes(2);
  manifest.limits.compile_time = std::chrono::minutes(1);
  manifest.limits.memory_bytes = std::int64_t{4} << 30;
  manifest.limits.disk_bytes = 64 << 20;
  manifest.limits.processes = 64;
  manifest.limits.gpus = gpus;
  return make_task(manifest, {{"judge/judge.cpp", kJudge}, {"seed/prober.cpp", kCandidate}});
}

}  // namespace

TEST_CASE("gpu: a candidate sees its own GPU, no other one, and can use it", "[integration][gpu]") {
  const auto found = find_gpus("");
  if (!found) FAIL(found.error().message);
  if (found->empty()) SKIP("this machine has no GPU");
  for (const GpuDevice& gpu : *found) {
    EvaluationRequest request;
    request.task = probing_task(1);
    request.sources = {{"prober.cpp", kCandidate}};
    request.gpus = {gpu.id};
    const EvaluationResult result = evaluate(request);
    INFO(gpu.name << " " << gpu.id << "\n" << result.diagnostics << result.log);
    REQUIRE(result.outcome == Outcome::success);
    CHECK(result.metrics.at("status") == 0);
    CHECK(result.metrics.at("devices") == 1);
    CHECK(result.metrics.at("copied") == 1);
  }
}

TEST_CASE("gpu: a candidate that got none finds none", "[integration][gpu]") {
  EvaluationRequest request;
  request.task = probing_task(0);
  request.sources = {{"prober.cpp", kCandidate}};
  const EvaluationResult result = evaluate(request);
  INFO(result.diagnostics << result.log);
  REQUIRE(result.outcome == Outcome::success);
  CHECK(result.metrics.at("status") != 0);
  CHECK(result.metrics.at("copied") == 0);
}
