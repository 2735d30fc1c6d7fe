#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "cambrian/agent/v1/work.pb.h"
#include "common/base/assert.hpp"
#include "common/base/utf8.hpp"
#include "common/digest/sha256.hpp"
#include "worker/adapters/grpc/convert.hpp"
#include "worker/adapters/judge/frame_link.hpp"
#include "worker/adapters/sandbox/supervisor.hpp"
#include "worker/adapters/sandbox/supervisor_record.hpp"
#include "worker/app/judge_session.hpp"

using namespace cambrian;
using namespace cambrian::worker;

namespace {

// The answers to so many requests for candidates fit into the buffer of a socket.
constexpr std::size_t kInputBytesMax = 4 << 10;
// What the coordinator takes.
constexpr std::size_t kMetricsMax = 256;

/// A process that did everything before it was asked.
class PastProcess final : public SandboxedProcess {
 public:
  PastProcess(ProcessExit exit, std::string log, int socket)
      : exit_(std::move(exit)), log_(std::move(log)), socket_(socket) {}

  void stop() override {}
  std::optional<ProcessExit> wait(std::chrono::milliseconds) override { return exit_; }
  std::string log() const override { return log_; }

 private:
  ProcessExit exit_;
  std::string log_;
  worker::Descriptor socket_;
};

class NoProgram final : public Program {};

class Candidates final : public CandidateRuntime {
 public:
  Candidates(ProcessExit exit, std::string log) : exit_(std::move(exit)), log_(std::move(log)) {}

  std::string toolchain_digest() const override { return ""; }
  Result<BuildResult> build(const EvaluationRequest&, std::stop_token) override {
    return BuildResult{};
  }
  Result<std::unique_ptr<SandboxedProcess>> start(const EvaluationRequest&, const Program&,
                                                  int) override {
    return std::make_unique<PastProcess>(exit_, log_, -1);
  }

 private:
  ProcessExit exit_;
  std::string log_;
};

/// A judge that says these bytes and then no more.
class Judges final : public JudgeRuntime {
 public:
  explicit Judges(std::string_view words) : words_(words) {}

  Result<BuildResult> build(const EvaluationRequest&, std::stop_token) override {
    return BuildResult{};
  }
  Result<std::unique_ptr<SandboxedProcess>> start(const EvaluationRequest&, const Program&,
                                                  int socket) override {
    const int own = ::dup(socket);
    CAMBRIAN_ASSERT(::write(own, words_.data(), words_.size()) ==
                    static_cast<ssize_t>(words_.size()));
    CAMBRIAN_ASSERT(::shutdown(own, SHUT_WR) == 0);
    ProcessExit exit;
    exit.was_started = true;
    exit.exit_code = 0;
    return std::make_unique<PastProcess>(exit, std::string(words_), own);
  }

 private:
  std::string_view words_;
};

EvaluationRequest make_request() {
  auto task = std::make_shared<Task>();
  task->manifest.objectives = {{"score", 0, 1}, {"size", 0, std::nullopt}};
  EvaluationRequest request;
  request.task = std::move(task);
  return request;
}

bool is_plain(std::string_view text) {
  return is_valid_utf8(text) && std::ranges::none_of(text, [](char c) {
           const bool is_control = static_cast<unsigned char>(c) < ' ' || c == '\x7f';
           return is_control && c != '\n' && c != '\t';
         });
}

void check_metrics(const EvaluationResult& result) {
  if (result.outcome != Outcome::success) {
    CAMBRIAN_ASSERT(result.metrics.empty());
    return;
  }
  CAMBRIAN_ASSERT(result.metrics.size() <= kMetricsMax);
  for (const auto& [name, value] : result.metrics) {
    CAMBRIAN_ASSERT(!name.empty() && std::isfinite(value));
  }
  CAMBRIAN_ASSERT(result.metrics.at("score") >= 0 && result.metrics.at("score") <= 1);
  CAMBRIAN_ASSERT(result.metrics.at("size") >= 0);
}

void check(const EvaluationResult& result) {
  check_metrics(result);
  CAMBRIAN_ASSERT(result.diagnostics.size() <= worker::kDiagnosticsBytesMax);
  CAMBRIAN_ASSERT(result.log.size() <= worker::kLogBytesMax);
  CAMBRIAN_ASSERT(is_plain(result.diagnostics) && is_plain(result.log));
  CAMBRIAN_ASSERT(result.behaviour_digest.empty() || is_sha256_hex(result.behaviour_digest));
  CAMBRIAN_ASSERT(result.usage.cpu_time >= Duration{0});
  CAMBRIAN_ASSERT(result.usage.memory_peak_bytes >= 0);
  for (const auto& time : {result.timings.start, result.timings.first_step, result.timings.train}) {
    CAMBRIAN_ASSERT(!time || *time >= Duration{0});
  }
  // What the coordinator gets is what was found.
  const std::string text = to_proto(result).SerializeAsString();
  agent::v1::EvaluationResult read;
  CAMBRIAN_ASSERT(read.ParseFromString(text));
  CAMBRIAN_ASSERT(static_cast<std::size_t>(read.metrics_size()) == result.metrics.size());
  CAMBRIAN_ASSERT(read.diagnostics() == result.diagnostics);
}

/// How a candidate ended whose supervisor says this: two records, and what is left of them.
ProcessExit exit_of(std::string_view records) {
  ProcessExit exit;
  while (!records.empty()) {
    const std::string_view record = records.substr(0, sizeof(SupervisorRecord));
    records.remove_prefix(record.size());
    if (!take_supervisor_record(record, "/program/program", exit)) break;
  }
  CAMBRIAN_ASSERT(exit.cpu_time >= Duration{0} && exit.memory_peak_bytes >= 0);
  CAMBRIAN_ASSERT(exit.processes_peak >= 0);
  CAMBRIAN_ASSERT(!describe_exit(exit).empty());
  return exit;
}

}  // namespace

/// Whatever a judge and the first process of a sandbox say: what leaves the worker keeps the task's
/// bounds and those of the coordinator. The first byte tells how many bytes are the supervisor's.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > kInputBytesMax) return 0;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t records = std::min<std::size_t>(data[0], size - 1);
  input.remove_prefix(1);
  const std::string_view words = input.substr(records);
  static const EvaluationRequest request = make_request();
  static const auto program = std::make_shared<NoProgram>();
  const SessionPrograms programs{program, program};
  Candidates candidates(exit_of(input.substr(0, records)), std::string(words));
  Judges judges(words);
  FrameLinks links;
  const ReportProgress report = [](std::string_view phase, const TrainingProgress& training) {
    CAMBRIAN_ASSERT(!phase.empty());
    const auto& [fraction, step, loss, rungs] = training;
    CAMBRIAN_ASSERT(!fraction || (*fraction >= 0 && *fraction <= 1));
    CAMBRIAN_ASSERT(!step || *step >= 0);
    CAMBRIAN_ASSERT(!loss || std::isfinite(*loss));
    for (const auto& rung : rungs) CAMBRIAN_ASSERT(std::isfinite(rung.value));
  };
  EvaluationResult result;
  JudgeSession session(candidates, request, programs, report, nullptr);
  CAMBRIAN_ASSERT(
      session.run(judges, links, {}, std::chrono::steady_clock::now(), result).has_value());
  check(result);
  return 0;
}
