#include "worker/evaluation/verdict.hpp"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <csignal>
#include <limits>

namespace cambrian::worker {
namespace {

ProcessExit ended_by(int signal) {
  ProcessExit exit;
  exit.was_started = true;
  exit.signal = signal;
  return exit;
}

Outcome refined(Outcome said, const ProcessExit& exit, std::string_view log = "") {
  return refine_verdict({said, {}, "", ""}, exit, Limits{}, log).outcome;
}

TEST_CASE("refine_verdict: what the judge measured stays", "[unit][worker]") {
  ProcessExit exit = ended_by(SIGKILL);
  exit.is_memory_exceeded = true;
  CHECK(refined(Outcome::success, exit) == Outcome::success);
  CHECK(refined(Outcome::bad_output, exit) == Outcome::bad_output);
  CHECK(refined(Outcome::not_finite, exit) == Outcome::not_finite);
}

TEST_CASE("refine_verdict: whose fault it is that nothing started", "[unit][worker]") {
  ProcessExit exit;
  exit.failure = "no such file";
  CHECK(refined(Outcome::crash, exit) == Outcome::infrastructure);
  CHECK(classify_build_failure(exit) == Outcome::infrastructure);
  exit.is_program_unusable = true;
  CHECK(refined(Outcome::crash, exit) == Outcome::crash);
  CHECK(classify_build_failure(exit) == Outcome::compile_error);
}

TEST_CASE("refine_verdict: each limit has its outcome", "[unit][worker]") {
  CHECK(refined(Outcome::crash, ended_by(SIGSEGV)) == Outcome::crash);
  CHECK(refined(Outcome::crash, ended_by(SIGXCPU)) == Outcome::timeout);
  CHECK(refined(Outcome::crash, ended_by(SIGXFSZ)) == Outcome::resource_exceeded);

  ProcessExit exit = ended_by(SIGKILL);
  exit.is_memory_exceeded = true;
  CHECK(refined(Outcome::crash, exit) == Outcome::out_of_memory);
  CHECK(limit_hit(exit, Limits{}) == "memory");

  exit = ended_by(SIGKILL);
  exit.was_stopped = true;
  exit.is_wall_time_exceeded = true;
  CHECK(refined(Outcome::crash, exit) == Outcome::timeout);
  CHECK(limit_hit(exit, Limits{}) == "time");

  exit = ended_by(SIGKILL);
  exit.is_output_exceeded = true;
  CHECK(refined(Outcome::timeout, exit) == Outcome::resource_exceeded);
  CHECK(limit_hit(exit, Limits{}) == "output");

  exit = ended_by(SIGABRT);
  exit.is_disk_full = true;
  CHECK(refined(Outcome::crash, exit) == Outcome::resource_exceeded);
  CHECK(limit_hit(exit, Limits{}) == "disk");

  exit = ended_by(SIGABRT);
  exit.processes_peak = Limits{}.processes;
  CHECK(refined(Outcome::crash, exit) == Outcome::resource_exceeded);
  CHECK(limit_hit(exit, Limits{}) == "processes");
  exit.is_wall_time_exceeded = true;
  CHECK(refined(Outcome::timeout, exit) == Outcome::resource_exceeded);

  exit = ended_by(SIGKILL);
  exit.is_gpu_memory_exceeded = true;
  CHECK(refined(Outcome::crash, exit) == Outcome::resource_exceeded);
  CHECK(limit_hit(exit, Limits{}) == "gpu_memory");
}

TEST_CASE("refine_verdict: what the control group counted is exact", "[unit][worker]") {
  ProcessExit exit = ended_by(SIGABRT);
  exit.group = GroupEvents{};
  // As many as allowed, and none was refused.
  exit.processes_peak = Limits{}.processes;
  CHECK(refined(Outcome::crash, exit) == Outcome::crash);
  CHECK(limit_hit(exit, Limits{}).empty());
  exit.processes_peak = 1;
  exit.group->are_processes_exceeded = true;
  CHECK(refined(Outcome::crash, exit) == Outcome::resource_exceeded);
  CHECK(limit_hit(exit, Limits{}) == "processes");
}

TEST_CASE("refine_verdict: a refused allocation is out_of_memory", "[unit][worker]") {
  CHECK(refined(Outcome::crash, ended_by(SIGABRT), "what():  std::bad_alloc") ==
        Outcome::out_of_memory);
  ProcessExit exit = ended_by(SIGSEGV);
  exit.memory_peak_bytes = Limits{}.memory_bytes - 1;
  CHECK(refined(Outcome::crash, exit) == Outcome::out_of_memory);
  // What the candidate prints cannot turn another outcome into this one.
  CHECK(refined(Outcome::timeout, ended_by(SIGKILL), "std::bad_alloc") == Outcome::timeout);
}

TEST_CASE("refine_verdict: our own kill is no signal of the candidate", "[unit][worker]") {
  ProcessExit exit = ended_by(SIGKILL);
  exit.was_stopped = true;
  const Verdict verdict = refine_verdict({Outcome::crash, {}, "hung up", ""}, exit, Limits{}, "");
  CHECK(verdict.outcome == Outcome::crash);
  CHECK(verdict.diagnostics == "hung up");
}

TEST_CASE("refine_verdict: a sandbox that does not start is our failure", "[unit][worker]") {
  ProcessExit exit;
  exit.failure = "no namespaces";
  CHECK(refined(Outcome::crash, exit) == Outcome::infrastructure);
}

TEST_CASE("check_plausible: refuses what cannot be honest", "[unit][worker]") {
  const std::vector<Objective> objectives = {{"accuracy", 0.0, 1.0}};
  const auto checked = [&](std::map<std::string, double> metrics) {
    return check_plausible({Outcome::success, std::move(metrics), "", ""}, objectives);
  };
  CHECK(checked({{"accuracy", 1.0}}).outcome == Outcome::success);
  CHECK(checked({{"accuracy", 1.0001}}).outcome == Outcome::bad_output);
  CHECK(checked({{"accuracy", -0.1}}).metrics.empty());
  CHECK(checked({{"accuracy", std::nan("")}}).outcome == Outcome::not_finite);
  CHECK(checked({{"accuracy", 0.5}, {"loss", std::numeric_limits<double>::infinity()}}).outcome ==
        Outcome::not_finite);
  CHECK(checked({{"loss", 1}}).outcome == Outcome::infrastructure);
}

TEST_CASE("classify_build_failure: names the limit that stopped a build", "[unit][worker]") {
  ProcessExit exit = ended_by(SIGKILL);
  CHECK(classify_build_failure(exit) == Outcome::compile_error);
  exit.is_wall_time_exceeded = true;
  CHECK(classify_build_failure(exit) == Outcome::timeout);
  CHECK(classify_build_failure(ended_by(SIGXFSZ)) == Outcome::resource_exceeded);
  CHECK(classify_build_failure(ProcessExit{}) == Outcome::infrastructure);
}

}  // namespace
}  // namespace cambrian::worker
